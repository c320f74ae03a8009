"""Int8: convolutions with whole numbers of eight bits, the rest in float32.

Static quantisation by onnxruntime: ranges of activations are those seen on
calibration pictures, weights have a scale for each output channel. What reads
the picture and what gives the outputs of the RPN stays in float32: that costs
little time and is where precision was lost.
"""

import hashlib
import logging
import platform
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import onnx

from mmps.errors import InputError
from mmps.inference.onnx_network import OnnxNetwork
from mmps.inference.scenes import as_scene

from .write import save

#: Folder of the files, below that of float32.
FOLDER = 'int8'
#: Pictures to calibrate on; more change little and take as long each.
MOST = 100
#: How the weights end that stay in float32.
_IN_FLOAT32 = (
    'backbone.conv1.weight',
    'rpn_head.rpn_cls.weight',
    'rpn_head.rpn_reg.weight',
)


@dataclass(frozen=True)
class Range:
    """Whether weights get seven bits, and why.

    Attributes:
        reduced: Without VNNI instructions, products of eight bits overflow in
            sums of two on x86 processors (16 bits, saturated).
        why: How that was decided.
    """

    reduced: bool
    why: str


def range_for_this_processor(
    machine: str | None = None, flags: str | None = None
) -> Range:
    """Choose the bits of weights by the processor.

    Args:
        machine: Of ``platform.machine``; that of this computer for None.
        flags: Words of /proc/cpuinfo; those of this computer for None.
    """
    machine = platform.machine() if machine is None else machine
    if machine.lower() not in ('x86_64', 'amd64', 'i686'):
        return Range(False, f'{machine}: no processor of x86')
    if flags is None:
        try:
            flags = Path('/proc/cpuinfo').read_text()
        except OSError:
            return Range(True, 'flags of the processor not known')
    there = {'avx512_vnni', 'avx_vnni'} & set(flags.split())
    if there:
        return Range(False, f'the processor has {" ".join(sorted(there))}')
    return Range(True, 'the processor has no VNNI')


def quantize(
    folder: Path,
    pictures: Sequence[str],
    note: Callable[[str], object] = lambda text: None,
) -> Path:
    """Write an exported network once more, in int8.

    Args:
        folder: Of the files in float32.
        pictures: Images to calibrate on; ``MOST`` of them at most, spread
            over all.
        note: Called with a line on each file.

    Returns:
        Folder of the new files, ``int8`` in the other one.

    Raises:
        InputError: There is no picture, or the network is int8 already.
    """
    network = OnnxNetwork(folder)
    if network.metadata.precision != 'fp32':
        raise InputError(folder, 'is int8 already', 'Give files in float32')
    if not pictures:
        raise InputError('--int8', 'holds no picture to calibrate on')
    chosen = [
        pictures[place]
        for place in np.linspace(
            0, len(pictures) - 1, min(MOST, len(pictures))
        ).astype(int)
    ]
    bits = range_for_this_processor()
    models = {}
    for part in network.metadata.parts:
        models[part] = _quantized(
            folder / f'{part}.onnx',
            network.inputs_of(part, map(as_scene, chosen)),
            bits,
        )
        note(f'quantised {part} on {len(chosen)} pictures')
    about = replace(
        network.metadata,
        precision='int8',
        fingerprint=_fingerprint(network.metadata.fingerprint, models),
        quantization=dict(
            method='static, QDQ, a scale for each output channel',
            operators=['Conv'],
            in_float32='what reads the picture or gives an output',
            pictures=len(chosen),
            of_fingerprint=network.metadata.fingerprint,
            reduce_range=bits.reduced,
            reduce_range_because=bits.why,
        ),
        measured=None,
    )
    for part, model in models.items():
        path = folder / FOLDER / f'{part}.onnx'
        save(model, replace(about, part=part), path)
        note(f'wrote {path} ({path.stat().st_size / 1e6:.1f} MB)')
    return folder / FOLDER


def _quantized(
    path: Path, inputs: Iterator[dict[str, np.ndarray]], bits: Range
) -> onnx.ModelProto:
    from onnxruntime import quantization as ort

    class Reader(ort.CalibrationDataReader):
        """Hands on what the graph gets of each picture."""

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(inputs, None)

    model = onnx.load(path)
    kept = _in_float32(model.graph)
    level = logging.getLogger().level
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter('ignore')
        logging.getLogger().setLevel(logging.ERROR)
        try:
            ort.quantize_static(
                model,
                Path(place) / 'int8.onnx',
                Reader(),
                quant_format=ort.QuantFormat.QDQ,
                activation_type=ort.QuantType.QUInt8,
                weight_type=ort.QuantType.QInt8,
                op_types_to_quantize=['Conv'],
                per_channel=True,
                reduce_range=bits.reduced,
                nodes_to_exclude=kept,
            )
        finally:
            logging.getLogger().setLevel(level)
        return onnx.load(Path(place) / 'int8.onnx')


def _in_float32(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes that are left as they are."""
    return [
        node.name
        for node in graph.node
        if node.op_type == 'Conv' and node.input[1].endswith(_IN_FLOAT32)
    ]


def _fingerprint(before: str, models: dict[str, onnx.ModelProto]) -> str:
    """Of the same network with other numbers."""
    digest = hashlib.sha256(before.encode())
    for model in models.values():
        digest.update(model.graph.SerializeToString(deterministic=True))
    return digest.hexdigest()[:16]


def with_measured(folder: Path, measured: dict) -> None:
    """Write what a test has given into all files of a network."""
    about = OnnxNetwork(folder).metadata
    for part in about.parts:
        path = folder / f'{part}.onnx'
        save(
            onnx.load(path), replace(about, part=part, measured=measured), path
        )
