"""Write a config for a data set, each choice with its reason."""

import os
import textwrap
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

from mmps.checkpoints.weights import read_weights
from mmps.datasets.check import READERS, detect_layout
from mmps.datasets.errors import DatasetError
from mmps.errors import InputError
from mmps.zoo.index import find_root, load_index

from .advice import (
    FULL,
    NARROW,
    choose_anchors,
    choose_epochs,
    choose_queue,
    choose_scale,
    coverage,
    has_both_orientations,
    measure,
    shapes,
)

#: Layout -> its data set in configs.
DATA_SETS = {
    'cuhk-sysu': 'CUHKSYSUDataset',
    'prw': 'PRWDataset',
    'coco-person': 'CocoPersonDataset',
}
METHODS = ('oim', 'det')
BACKBONES = ('r18', 'r50')
#: Maximum input of a network, in pixels: that of PRW; of one without a GPU.
_LIMITS = {False: (1500, 900), True: (640, 480)}


@dataclass(frozen=True)
class Start:
    """What training starts from.

    Attributes:
        source: ``load_from`` of the config; None for ImageNet or random
            weights.
        method, backbone, narrow: Of the network in it.
        anchors: Its (scales, ratios), which its RPN has learnt; None to
            choose.
    """

    source: str | None
    method: str
    backbone: str
    narrow: bool
    anchors: tuple | None = None


def config_text(
    data: str | Path,
    out: str | Path,
    *,
    method: str = 'oim',
    backbone: str | None = None,
    narrow: bool = False,
    start: str | None = None,
    like: str | None = None,
    epochs: int | None = None,
) -> str:
    """Return the text of a config.

    Args:
        data: Root of a data set in any layout that ``mmps check`` knows.
        out: Where the config will be, for the paths of its bases.
        method: One of ``METHODS``.
        backbone: One of ``BACKBONES``; None for that of ``start``, or 'r18'.
        narrow: Whether the network is half as wide and trained from scratch.
        start: Checkpoint or ``zoo://NAME`` to fine-tune.
        like: Config that the checkpoint was trained with; None for that of
            the zoo, or the one beside the checkpoint.
        epochs: None to choose.

    Raises:
        DatasetError: The data cannot be read or cannot train that network.
        InputError: The start cannot be read or is another network.
    """
    root = Path(data)
    layout = detect_layout(root)
    train = READERS[layout](root, 'train')
    test = READERS[layout](root, 'test')
    measures = measure(train)
    if method == 'oim' and not measures.identities:
        raise DatasetError(
            root,
            'the training half has no identity, so no search can be learnt',
            'train a detector: --method det',
        )
    begin = Start(None, method, backbone or 'r18', narrow)
    if start is not None:
        begin = look_at_start(start, like)
        if backbone not in (None, begin.backbone):
            raise InputError(
                start, f'is a network with {begin.backbone}, not {backbone}'
            )
        if narrow and not begin.narrow:
            raise InputError(start, 'is no narrow network', 'Omit --narrow')
    elif like is not None:
        raise ValueError('--like belongs to a checkpoint: --from CHECKPOINT')
    recipe = NARROW if begin.narrow else FULL
    model = f'{method}_{begin.backbone}' + '_narrow' * begin.narrow
    home = find_root()
    base = home / 'configs' / '_base_'
    writer = _Writer()
    writer.add(
        f'# {method.upper()} with {begin.backbone} on {root.name}, written by '
        '`mmps init-config`. It is yours to change.'
    )
    bases = [
        f'models/{model}.py',
        'datasets/scenes.py',
        f'schedules/{"synth" if begin.narrow else "epochs_20"}.py',
        'default_runtime.py',
    ]
    writer.add(
        '_base_ = [',
        *(f'    {_path_of_base(base / file, home, out)!r},' for file in bases),
        ']',
    )
    writer.add('', f'data_root = {str(root.resolve())!r}')
    scale = choose_scale(measures, _LIMITS[begin.narrow])
    writer.explain(scale.reason)
    writer.add(
        f'_base_.train_pipeline[3].scale = {scale.value}',
        f'_base_.test_pipeline[2].scale = {scale.value}',
    )
    _add_loaders(writer, DATA_SETS[layout], measures, begin.narrow, recipe)
    _add_evaluator(writer, method, test)
    _add_model(writer, method, begin, measures, scale.value, base)
    _add_schedule(writer, begin, measures, recipe, epochs)
    if begin.source is not None:
        _add_start(writer, method, begin)
    return writer.text()


class _Writer:
    """Collects lines; comments are wrapped."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def add(self, *lines: str) -> None:
        self._lines += lines

    def explain(self, text: str) -> None:
        """A comment: a sentence with its first letter raised."""
        text = f'{text[0].upper()}{text[1:].rstrip(".")}.'
        self._lines.append('')
        self._lines += textwrap.wrap(
            text, 79, initial_indent='# ', subsequent_indent='# '
        )

    def text(self) -> str:
        return '\n'.join(self._lines) + '\n'


def _path_of_base(file: Path, root: Path, out: str | Path) -> str:
    """Path of a base: relative for a config that lies in the same checkout."""
    folder = Path(out).resolve().parent
    if folder.is_relative_to(root.resolve()):
        return os.path.relpath(file.resolve(), folder)
    return str(file.resolve())


def _add_loaders(writer, kind: str, measures, narrow, recipe) -> None:
    both = has_both_orientations(measures)
    if both.value:
        writer.explain(both.reason)
        writer.add("batches = dict(type='OrientationBatchSampler')")
    writer.add(
        'train_dataloader = dict(',
        f'    batch_size={recipe.batch},',
        *(['    num_workers=1,'] if narrow else []),
        *(['    batch_sampler=batches,'] if both.value else []),
        '    dataset=dict(',
        f'        type={kind!r},',
        '        data_root=data_root,',
        '        pipeline=_base_.train_pipeline,',
        '    ),',
        ')',
        'val_dataloader = dict(',
        *(['    num_workers=1,'] if narrow else []),
        '    dataset=dict(',
        f'        type={kind!r},',
        '        data_root=data_root,',
        '        pipeline=_base_.test_pipeline,',
        '    ),',
        ')',
        'test_dataloader = val_dataloader',
    )


def _add_evaluator(writer, method: str, test) -> None:
    if method == 'det':
        writer.explain('a detector has no embeddings: detection figures alone')
    elif not test.protocols:
        writer.explain(
            'the test half has no queries: search is not measured, detection '
            'is'
        )
    else:
        return
    writer.add(
        'val_evaluator = dict(protocols=[])', 'test_evaluator = val_evaluator'
    )


def _add_model(writer, method, begin, measures, scale, base: Path) -> None:
    narrow = '_narrow' * begin.narrow
    file = base / 'models' / f'det_{begin.backbone}{narrow}.py'
    generator = Config.fromfile(file).model.rpn_head.anchor_generator
    boxes = measures.boxes_at(scale)
    anchors = choose_anchors(boxes, shapes(generator.scales, generator.ratios))
    scales, ratios = begin.anchors or anchors.value
    if begin.anchors is None:
        writer.explain(anchors.reason)
    else:
        share = coverage(boxes, shapes(scales, ratios))
        writer.explain(
            'the anchors are those that the RPN of the checkpoint was trained '
            f'with: {share:.0%} of the boxes have '
            'one of about their size (IoU 0.7 about one centre). Chosen '
            f'for these boxes they would be scales={anchors.value[0]}, '
            f'ratios={anchors.value[1]}'
        )
    writer.add(
        'anchors = dict(',
        f'    scales={scales},',
        f'    ratios={ratios},',
        ')',
    )
    if method == 'oim':
        queue = choose_queue(measures)
        writer.explain(
            f'one row of the lookup table for each of the '
            f'{measures.identities} people in {measures.labelled} boxes of '
            f'the training half. {queue.reason}'
        )
        writer.add(
            f'loss = dict(num_ids={measures.identities}, queue_size='
            f'{queue.value})'
        )
    no_imagenet = begin.source is not None and not begin.narrow
    if no_imagenet:
        writer.explain(
            'all weights come from the checkpoint, none from ImageNet'
        )
    head = [
        *(['        shared_head=dict(init_cfg=None),'] * no_imagenet),
        *(['        oim_head=dict(loss_oim=loss),'] * (method == 'oim')),
    ]
    writer.add(
        'model = dict(',
        *(['    backbone=dict(init_cfg=None),'] * no_imagenet),
        '    rpn_head=dict(anchor_generator=anchors),',
        *(['    roi_head=dict(', *head, '    ),'] if head else []),
        ')',
    )


def _add_schedule(writer, begin, measures, recipe, epochs) -> None:
    chosen = choose_epochs(measures.pictures, recipe, begin.source is not None)
    if epochs is None:
        writer.explain(chosen.reason)
    else:
        writer.explain(f'as asked for; {chosen.value} would be chosen')
    last = 'dict(end=max_epochs)'
    drop = []
    if not begin.narrow:
        last = 'dict(milestones=milestones)'
        drop = ['milestones = [max(1, max_epochs * 4 // 5)]']
    writer.add(
        f'max_epochs = {epochs or chosen.value}',
        'train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)',
        *drop,
        'param_scheduler = [',
        '    _base_.param_scheduler[0],',
        f'    dict(**_base_.param_scheduler[1] | {last}),',
        ']',
    )


def _add_start(writer, method: str, begin: Start) -> None:
    rate = 0.02 if begin.narrow else 0.001
    writer.explain(
        'fine-tuning: a third of the learning rate. Table and queue belong '
        'to the people of the other data set and start fresh'
    )
    writer.add(
        f'load_from = {begin.source!r}',
        f'optim_wrapper = dict(optimizer=dict(lr={rate}))',
    )
    if method != begin.method:
        what = 'lacks' if method == 'oim' else 'has'
        writer.explain(
            f'the checkpoint {what} the re-identification branch, unlike this '
            'network'
        )
        writer.add(
            "new = dict(allow=['roi_head.oim_head.'])",
            'default_hooks = dict(strict_load=new)',
        )


def look_at_start(source: str, like: str | None = None) -> Start:
    """Find out which network a checkpoint holds.

    Args:
        source: Path, address or ``zoo://NAME``.
        like: Config that it was trained with; None for that of the zoo entry,
            or the only config in the folder of the file.

    Raises:
        InputError: It cannot be read, or is no OIM network or detector.
    """
    if source.startswith('zoo://'):
        if like is not None:
            raise ValueError(f'--like is not for {source}: the zoo knows it')
        index = load_index()
        entry = index.find(source)
        if entry.weights is None:
            raise InputError(
                source,
                'is not released, there are no weights of it',
                '`mmps zoo list` shows what is',
            )
        model = Config.fromfile(index.root / entry.config).model
        return _start_of(source, model)
    weights = read_weights(source)
    source = str(Path(source).resolve()) if Path(source).exists() else source
    if like is None and Path(source).exists():
        beside = sorted(Path(source).parent.glob('*.py'))
        like = str(beside[0]) if len(beside) == 1 else None
    if like is None:
        raise InputError(
            source,
            f'holds {len(weights)} weights but does not say which anchors '
            'they belong to',
            'give the config that it was trained with: --like CONFIG',
        )
    return _start_of(source, Config.fromfile(like).model)


def _start_of(source: str, model: dict) -> Start:
    """What is known from the model of a config."""
    head = model.get('roi_head', {}).get('oim_head')
    if model.get('type') != 'PersonSearchRCNN':
        raise InputError(
            source,
            f'is a {model.get("type")}; configs are written for OIM networks '
            'and detectors',
            'start from one of those, or write load_from by hand',
        )
    layers = model.roi_head.shared_head.type
    if layers != 'ResConv5':
        raise InputError(
            source,
            f'has a {layers} on its RoIs; configs are written for networks '
            'with ResConv5',
            'base a config on that of the network, and set its data, num_ids '
            'and load_from by hand',
        )
    generator = model.rpn_head.anchor_generator
    return Start(
        source=source,
        method='det' if head is None else 'oim',
        backbone=f'r{model.backbone.depth}',
        narrow=model.backbone.get('base_channels', 64) < 64,
        anchors=(list(generator.scales), list(generator.ratios)),
    )
