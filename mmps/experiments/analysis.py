"""How large and how slow a network is: parameters, MACs, milliseconds.

A MAC is one multiplication with its addition; what other tables call FLOPs is
often this number, sometimes twice it. Counted are convolutions and products of
matrices, as torch counts them.
"""

import json
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mmps.atomic_files import write_text
from mmps.plain_model import plain_model

#: Runs on every RoI: conv5, or the layers of a light head.
_HEAD = 'roi_head.shared_head'
#: Parts that a table has a line for, if the network has them.
PARTS = (
    'backbone',
    'rpn_head',
    'roi_head.bbox_roi_extractor',
    _HEAD,
    'roi_head.bbox_head',
    'roi_head.oim_head',
    'roi_head.sim_head',
)


@dataclass(frozen=True)
class Count:
    """Numbers of a network or of a part.

    Attributes:
        trainable: Parameters that training changes.
        frozen: Parameters that it does not.
    """

    trainable: int = 0
    frozen: int = 0

    @property
    def total(self) -> int:
        """All parameters."""
        return self.trainable + self.frozen


@dataclass(frozen=True)
class Analysis:
    """What was measured of one network.

    Attributes:
        parameters: Part, or 'all' -> count.
        buffers: Numbers that are kept but not learnt by gradient: name of
            the module's part -> how many. Tables and queues are here.
        macs: Part, or 'all' -> MACs of one tested image; of one pair for a
            query-guided network.
        rois: RoIs that went through the shared head (conv5, or the layers of
            a light head) for the MACs and times.
        milliseconds: Medians of one tested image or pair: 'ms' by the clock
            and, without a GPU, 'CPU ms' of all threads, which other programs
            hardly change; empty if not timed.
        pairs: Whether pairs were run.
    """

    parameters: dict[str, Count]
    buffers: dict[str, int]
    macs: dict[str, int] = field(default_factory=dict)
    rois: int = 0
    milliseconds: dict[str, float] = field(default_factory=dict)
    pairs: bool = False

    @property
    def head_macs(self) -> float:
        """MACs of the shared head for one RoI; 0 if none went through."""
        return self.macs.get(_HEAD, 0) / self.rois if self.rois else 0


def build_network(cfg: Config) -> nn.Module:
    """The network of a config as it is tested, with random weights.

    Nothing is downloaded: size and speed do not depend on the weights, but
    for how many proposals overlap.
    """
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        torch.manual_seed(0)
        network = MODELS.build(plain_model(cfg.model))
    network.eval()
    return network


def count_parameters(network: nn.Module) -> dict[str, Count]:
    """Part -> parameters; each once, a part's own and those below it."""
    counts = {'all': _count(network)}
    for name, part in _parts(network).items():
        if count := _count(part):
            counts[name] = count
    return counts


def count_buffers(network: nn.Module) -> dict[str, int]:
    """Name -> numbers of tables and queues; 'batch norm' for statistics.

    Single numbers, positions and counters, are left out.
    """
    counts: dict[str, int] = {}
    for name, buffer in network.named_buffers():
        if buffer.numel() <= 1 or name.startswith('data_preprocessor'):
            continue
        owner = network.get_submodule(name.rpartition('.')[0])
        if isinstance(owner, nn.modules.batchnorm._BatchNorm):
            name = 'batch norm'
        counts[name] = counts.get(name, 0) + buffer.numel()
    return counts


def analyze(
    cfg: Config,
    shape: tuple[int, int] = (600, 800),
    repeats: int = 5,
    device: str = 'cpu',
) -> Analysis:
    """Measure a network; see ``Analysis``.

    Args:
        cfg: Config whose ``model`` is built; its data are not read.
        shape: Height and width of the image that it is fed.
        repeats: Times that are taken, after one that is not; 0 for none.
        device: Where.
    """
    network = build_network(cfg).to(device)
    run = _Tested(network, shape).to(device)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        run()
    counts = counter.get_flop_counts()
    return Analysis(
        count_parameters(network),
        count_buffers(network),
        _macs(counts, _parts(network)),
        run.rois,
        median_ms(run, repeats, device) if repeats else {},
        run.pairs,
    )


def median_ms(
    run: Callable[[], object], repeats: int, device: str = 'cpu'
) -> dict[str, float]:
    """Median times of a call in milliseconds, the first one not counted."""
    clock, busy = [], []
    for _ in range(repeats + 1):
        start = time.perf_counter(), time.process_time()
        with torch.no_grad():
            run()
        if device != 'cpu':
            torch.cuda.synchronize(device)
        clock.append(1000 * (time.perf_counter() - start[0]))
        busy.append(1000 * (time.process_time() - start[1]))
    times = {'ms': statistics.median(clock[1:])}
    if device == 'cpu':
        times['CPU ms'] = statistics.median(busy[1:])
    return times


class _Tested(nn.Module):
    """Runs a network on one random image, or on a pair of them.

    A pair is run whole: nothing of either image is kept from before.
    """

    def __init__(self, network: nn.Module, shape: tuple[int, int]) -> None:
        super().__init__()
        self.network = network
        self.pairs = hasattr(network, 'pair_searcher')
        self.rois = 0
        draw = torch.Generator().manual_seed(0)
        image = torch.randn(1, 3, *shape, generator=draw)
        self.register_buffer('image', image)
        self.meta = dict(
            img_shape=shape,
            pad_shape=shape,
            ori_shape=shape,
            scale_factor=(1.0, 1.0),
        )
        height, width = shape
        self.box = torch.tensor(
            [width / 3, height / 6, width / 2, height / 1.2]
        )
        network.roi_head.shared_head.register_forward_hook(self._note)

    def _note(self, module: nn.Module, inputs: tuple, output: Tensor) -> None:
        self.rois += len(inputs[0])

    def forward(self) -> None:
        self.rois = 0
        if not self.pairs:
            sample = DetDataSample(metainfo=self.meta)
            self.network.predict(self.image, [sample])
            return
        # weights are random: whatever is detected is compared
        searcher = self.network.pair_searcher(score_thr=0.0, cache_mb=1)
        query = searcher.query(self.image, self.meta, self.box)
        gallery = searcher.gallery(self.image, self.meta)
        searcher.search([(query, gallery)])


def _parts(network: nn.Module) -> dict[str, nn.Module]:
    found = {}
    for name in PARTS:
        part: object = network
        for step in name.split('.'):
            part = getattr(part, step, None)
        if part is not None:
            found[name] = part
    return found


def _count(part: nn.Module) -> Count | None:
    trainable = frozen = 0
    for parameter in part.parameters():
        if parameter.requires_grad:
            trainable += parameter.numel()
        else:
            frozen += parameter.numel()
    return Count(trainable, frozen) if trainable + frozen else None


def _macs(counts: dict, parts: dict[str, nn.Module]) -> dict[str, int]:
    """MACs of the parts, from what torch has counted for every module.

    A part may be run by its methods, so that only modules below it are
    counted: those without modules of their own are summed.
    """
    flops = {name: sum(ops.values()) for name, ops in counts.items()}
    macs = {'all': flops['Global'] // 2}
    for name, part in parts.items():
        leaves = [
            '.'.join(filter(None, ('_Tested.network', name, below)))
            for below, module in part.named_modules()
            if not list(module.children())
        ]
        if total := sum(flops.get(leaf, 0) for leaf in leaves) // 2:
            macs[name] = total
    return macs


def table(analyses: dict[str, Analysis], shape: tuple[int, int]) -> str:
    """Markdown: a column for each network, in percent of the first too.

    Args:
        analyses: Name -> what was measured.
        shape: Height and width of the image.
    """
    first, *_ = analyses.values()
    names = [name + ', pair' * a.pairs for name, a in analyses.items()]
    lines = [['', *names], ['---'] * (1 + len(names))]

    def row(
        name: str,
        value: Callable[[Analysis], float | None],
        unit: float,
        digits: int = 3,
    ) -> None:
        values = [value(a) for a in analyses.values()]
        if any(values):
            base = value(first)
            cells = [_cell(v, base, unit, digits) for v in values]
            lines.append([name, cells[0].partition(' (')[0], *cells[1:]])

    row('parameters, M', lambda a: a.parameters['all'].total, 1e6)
    row('- trainable', lambda a: a.parameters['all'].trainable, 1e6)
    row('- frozen', lambda a: a.parameters['all'].frozen, 1e6)
    for part in PARTS:
        row(
            f'- in {part}',
            lambda a, part=part: a.parameters.get(part, Count()).total,
            1e6,
        )
    for name in dict.fromkeys(n for a in analyses.values() for n in a.buffers):
        row(
            f'not learnt: {name}, M',
            lambda a, name=name: a.buffers.get(name),
            1e6,
        )
    row(
        'parameters and all of these, M',
        lambda a: a.parameters['all'].total + sum(a.buffers.values()),
        1e6,
    )
    size = f'{shape[1]} x {shape[0]}'
    row(f'GMACs, {size}', lambda a: a.macs.get('all'), 1e9, 2)
    for part in PARTS:
        row(f'- in {part}', lambda a, part=part: a.macs.get(part), 1e9, 2)
    row('RoIs', lambda a: a.rois, 1, 0)
    row(f'MMACs of a RoI in {_HEAD}', lambda a: a.head_macs, 1e6, 2)
    for name in ('ms', 'CPU ms'):
        row(
            f'{name}, {size}',
            lambda a, name=name: a.milliseconds.get(name),
            1,
            0,
        )
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _cell(
    value: float | None, base: float | None, unit: float, digits: int
) -> str:
    if not value:
        return '-'
    text = f'{value / unit:.{digits}f}'
    return f'{text} ({100 * value / base:.0f} %)' if base else text


def write_analysis(
    analyses: Mapping[str, Analysis], path: str | os.PathLike
) -> None:
    """Write all numbers as JSON."""
    content = {name: asdict(analysis) for name, analysis in analyses.items()}
    write_text(path, json.dumps(content, indent=1) + '\n')
