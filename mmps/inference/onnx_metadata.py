"""What an exported network says of itself, in each of its files.

It stands as JSON under the key ``mmps`` in the ``metadata_props`` of an ONNX
file. The classes below are its fields. A file may be a stranger's: it is read
field by field, each with its kind and its limits, and nothing is evaluated.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from mmps.errors import InputError

from .onnx_file import SEAL

#: Key in ``metadata_props``.
KEY = 'mmps'
FORMAT, VERSION = 'mmps network', 1
#: The files of a layout, without '.onnx'; two heads have one more.
PARTS = {'split': ('scene', 'people'), 'single': ('single',)}
#: File of the second head of a network that detects first (SeqNet).
REID = 'reid'
#: Characters of the JSON.
LONGEST = 100_000
#: Of everything that is counted.
LARGEST = 1_000_000


@dataclass(frozen=True)
class Resize:
    """How a picture is scaled: neither side gets longer than its limit.

    Attributes:
        long: Limit of the longer side in pixels.
        short: Limit of the shorter side.
        rounding: 'nearest': whole pixels, sides rounded to the nearest, as
            mmcv does; 'down': pixels with fractions, sides rounded down, as
            torchvision does.
    """

    long: int
    short: int
    rounding: str


@dataclass(frozen=True)
class Input:
    """What the graph does to the pixels: a note, it is inside of the graph.

    Attributes:
        order: Of the channels that the graph takes, 'bgr'.
        mean: Of each channel, subtracted in the order of ``trained_order``.
        std: What each channel is divided by.
        trained_order: 'rgb' or 'bgr'.
        pad_divisor: Sides are padded with 0 to a multiple of this.
    """

    order: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    trained_order: str
    pad_divisor: int


@dataclass(frozen=True)
class Anchors:
    """Boxes that the RPN starts from.

    Attributes:
        base: x1 y1 x2 y2 of each, around the first cell.
        stride: Pixels from one cell to the next, across and down.
    """

    base: tuple[tuple[float, ...], ...]
    stride: tuple[int, ...]


@dataclass(frozen=True)
class Coder:
    """How four numbers move a box (``DeltaXYWHBBoxCoder`` of mmdet).

    Attributes:
        means: Added to the numbers, after they are multiplied by ``stds``.
        stds: Four.
        max_log: Bound of the logarithm of a change of size.
    """

    means: tuple[float, ...]
    stds: tuple[float, ...]
    max_log: float


@dataclass(frozen=True)
class Proposals:
    """From the outputs of the RPN to the boxes that people are sought in.

    Attributes:
        coder: Of its boxes.
        nms_pre: Best anchors that are looked at; all for -1.
        min_size: Sides must be longer, in pixels; -1 for any.
        iou_threshold: Of the suppression.
        max_per_img: Proposals.
    """

    coder: Coder
    nms_pre: int
    min_size: float
    iou_threshold: float
    max_per_img: int


@dataclass(frozen=True)
class Detections:
    """From the outputs of the head to people.

    Attributes:
        coder: Of its boxes.
        score_thr: Minimum score before the suppression.
        iou_threshold: Of the suppression.
        max_per_img: Detections.
        embed_on: Boxes whose embeddings count: 'proposal' or 'refined'.
    """

    coder: Coder
    score_thr: float
    iou_threshold: float
    max_per_img: int
    embed_on: str


@dataclass(frozen=True)
class SecondHead:
    """What a head that embeds the detections of the first one does (SeqNet).

    Attributes:
        coder: Of its boxes.
        iou_threshold: Of its suppression.
        score: Whose score counts: 'first' or 'norm', its own.
    """

    coder: Coder
    iou_threshold: float
    score: str


@dataclass(frozen=True)
class Metadata:
    """All of it.

    Attributes:
        part: Which file this is: 'scene', 'people', 'reid' or 'single'.
        layout: 'split' or 'single'.
        network: Name in the zoo, or of the config.
        fingerprint: Of the network, as in a gallery index. Equal for torch
            and ONNX in float32, whose embeddings can be compared.
        precision: 'fp32' or 'int8'.
        classes: Names.
        embedding_size: D.
        det_thr: Score from which on a detection counts.
        match_threshold: Similarity of a match, None if it was not measured.
        training_data: As the zoo names it, None if it is not known.
        license: What may be done with the weights.
        made_by: Programs and versions.
        resize: Before the graph.
        input: Inside of the graph.
        anchors: Of the RPN.
        proposals: Of the RPN.
        detections: Of the head.
        second: None for a network with one head.
        quantization: Notes on int8, None for fp32.
        measured: What a test of the exported network has given, by name.
    """

    part: str
    layout: str
    network: str
    fingerprint: str
    precision: str
    classes: tuple[str, ...]
    embedding_size: int
    det_thr: float
    match_threshold: float | None
    training_data: str | None
    license: str
    made_by: str
    resize: Resize
    input: Input
    anchors: Anchors
    proposals: Proposals
    detections: Detections
    second: SecondHead | None
    quantization: dict | None = None
    measured: dict | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of all files of the network, without '.onnx'."""
        parts = PARTS[self.layout]
        two_heads = self.layout == 'split' and self.second is not None
        return (*parts, REID) if two_heads else parts

    def to_json(self, sealed: bool = False) -> str:
        """Text that ``parse`` reads.

        Args:
            sealed: Whether a file must have a seal (``onnx_file.sealed``).
        """
        kind = {'format': FORMAT, 'version': VERSION}
        if sealed:
            kind['sealed'] = True
        return json.dumps({**kind, **asdict(self)})


def parse(notes: Mapping[str, str], file: object) -> Metadata:
    """Read the metadata of a file.

    Args:
        notes: Its ``metadata_props``.
        file: Its name, for messages.

    Raises:
        InputError: It has none, or a field is missing, of another kind or
            outside of its limits; names the field.
    """
    if KEY not in notes:
        raise InputError(
            file,
            f'was not written by mmps export: it has no metadata {KEY!r}',
            'Give an exported network: a folder, scene.onnx or single.onnx',
        )
    if len(notes[KEY]) > LONGEST:
        raise _wrong(
            file,
            KEY,
            f'has {len(notes[KEY]):,} characters, expected {LONGEST:,} or '
            'fewer',
        )
    try:
        content = json.loads(notes[KEY])
    except (ValueError, RecursionError) as error:
        raise _wrong(file, KEY, f'is no JSON ({error})') from error
    if not isinstance(content, dict) or content.pop('format', 0) != FORMAT:
        raise _wrong(file, 'format', f'is not {FORMAT!r}')
    version = content.pop('version', None)
    if version != VERSION:
        raise _wrong(
            file,
            'version',
            f'is {version!r}; this mmps reads version {VERSION}',
        )
    if content.pop('sealed', False) and SEAL not in notes:
        raise _wrong(file, 'sealed', 'is true, and the file has no seal')
    found = _read(content, Metadata, '', file)
    for name, problem in _problems(found):
        raise _wrong(file, name, problem)
    return found


def _read(value: Any, kind: Any, name: str, file: object) -> Any:
    """A value of this kind, made of what JSON gives."""
    if kind in (int, str, dict, NoneType) and type(value) is kind:
        return value
    if kind is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if isinstance(kind, UnionType):
        first, _ = get_args(kind)
        return None if value is None else _read(value, first, name, file)
    if get_origin(kind) is tuple and isinstance(value, list):
        item = get_args(kind)[0]
        return tuple(
            _read(part, item, f'{name}[{number}]', file)
            for number, part in enumerate(value)
        )
    if hasattr(kind, '__dataclass_fields__') and isinstance(value, dict):
        kinds = get_type_hints(kind)
        found = {}
        for field in fields(kind):
            inner = f'{name}.{field.name}' if name else field.name
            if field.name not in value:
                raise _wrong(file, inner, 'is missing')
            found[field.name] = _read(
                value[field.name], kinds[field.name], inner, file
            )
        return kind(**found)
    wanted = getattr(kind, '__name__', kind)
    raise _wrong(file, name, f'is {_short(value)}, expected {wanted}')


def _problems(found: Metadata) -> Iterator[tuple[str, str]]:
    """Fields whose values are outside of their limits, and how."""
    heads = {'proposals': found.proposals, 'detections': found.detections}
    if found.second is not None:
        heads['second'] = found.second
        yield from _word('second.score', found.second.score, 'first', 'norm')
    for name, head in heads.items():
        yield from _share(f'{name}.iou_threshold', head.iou_threshold)
        yield from _count(f'{name}.coder.means', len(head.coder.means), 4, 4)
        yield from _count(f'{name}.coder.stds', len(head.coder.stds), 4, 4)
    yield from _share('det_thr', found.det_thr)
    yield from _share('detections.score_thr', found.detections.score_thr)
    for name in ('proposals', 'detections'):
        yield from _count(f'{name}.max_per_img', heads[name].max_per_img)
    yield from _count('embedding_size', found.embedding_size)
    yield from _count('resize.long', found.resize.long)
    yield from _count('resize.short', found.resize.short)
    yield from _count('input.pad_divisor', found.input.pad_divisor)
    yield from _count('input.mean', len(found.input.mean), 3, 3)
    yield from _count('input.std', len(found.input.std), 3, 3)
    yield from _count('anchors.stride', len(found.anchors.stride), 2, 2)
    yield from _count('anchors.stride', min(found.anchors.stride, default=0))
    yield from _count('anchors.base', len(found.anchors.base))
    for number, box in enumerate(found.anchors.base):
        yield from _count(f'anchors.base[{number}]', len(box), 4, 4)
    yield from _word('layout', found.layout, *PARTS)
    if found.layout in PARTS:
        yield from _word('part', found.part, *found.parts)
    yield from _word('precision', found.precision, 'fp32', 'int8')
    yield from _word('input.order', found.input.order, 'bgr')
    yield from _word(
        'resize.rounding', found.resize.rounding, 'nearest', 'down'
    )
    yield from _word(
        *('detections.embed_on', found.detections.embed_on),
        *('proposal', 'refined'),
    )


def _share(name: str, value: float) -> Iterator[tuple[str, str]]:
    if not 0 <= value <= 1:
        yield name, f'is {value}, expected 0 to 1'


def _count(
    name: str, value: int, low: int = 1, high: int = LARGEST
) -> Iterator[tuple[str, str]]:
    """A number, or how many there are of something."""
    if not low <= value <= high:
        wanted = low if low == high else f'{low} to {high}'
        yield name, f'is {value}, expected {wanted}'


def _word(name: str, value: str, *known: str) -> Iterator[tuple[str, str]]:
    if value not in known:
        yield name, f'is {_short(value)}, expected {" or ".join(known)}'


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 60 else f'{text[:57]}...'


def _wrong(file: object, field: str, problem: str) -> InputError:
    return InputError(
        file,
        f'metadata {field} {problem}',
        'Export the network again: mmps export',
    )
