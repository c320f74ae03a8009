"""Small trainings of real networks, by the command that users give."""

import gc
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import torch

import mmps.registered  # noqa: F401 - what a training imports
import tests.quick_runs  # noqa: F401 - what takes longer than such a training
from mmps.apis import load_config
from mmps.commands import main
from mmps.distillation import IdentityTable, write_table
from mmps.distillation.identity_table import identity_names
from tests.distillation.networks import network
from tests.engine import toy  # noqa: F401 - registers a metric and hooks
from tests.ports import free_port
from tests.synthetic.sets import make_cuhk_sysu

from .children import Child

CONFIGS = Path(__file__).parents[2] / 'configs'
#: Two batches of two images in each epoch.
EPOCHS, BATCHES, BATCH = 3, 2, 2
#: People with a name in the training pictures.
PEOPLE = 8
DIMS = 16
_CONFIG = """
_base_ = '{configs}/{name}.py'
# as small as a network can be, on a few scenes
small = dict(
    backbone=dict(base_channels=8),
    rpn_head=dict(in_channels={narrow}, feat_channels=16),
    roi_head=dict(
        bbox_roi_extractor=dict(output_size=4),
        shared_head=dict(base_channels=8),
        bbox_head=dict(in_channels={wide}),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=32)),
        rpn_proposal=dict(nms_pre=100, max_per_img=30),
        rcnn=dict(sampler=dict(num=12)),
    ),
    test_cfg=dict(
        rpn=dict(nms_pre=100, max_per_img=20), rcnn=dict(score_thr=0.01)
    ),
)
model = dict(**small)
scenes = dict(data_root='{data}')
here = dict(num_workers=0, persistent_workers=False)
pictures = dict(indices={pictures}, **scenes)
train_dataloader = dict(batch_size={batch}, dataset=pictures, **here)
val_dataloader = dict(dataset=dict(indices=2, **scenes), **here)
val_evaluator = dict(_delete_=True, type='ToyMetric', values=[0.1, 0.3, 0.2])
test_dataloader = val_dataloader
train_cfg = dict(max_epochs={epochs}, val_begin={epochs} + 1)
optim_wrapper = dict(optimizer=dict(lr=0.02))
warm_up = dict(begin=0, end=1, by_epoch=True, convert_to_iter_based=True)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, **warm_up),
    dict(type='MultiStepLR', milestones=[2], gamma=0.5),
]
default_hooks = dict(logger=dict(interval=1))
custom_hooks = []
log_level = 'WARNING'
"""
_OIM = """
model['roi_head']['oim_head'] = dict(
    in_channels={channels},
    feat_dim={dims},
    loss_oim=dict(num_ids={people}, queue_size=20),
)
"""
_PAIRS = """
train_dataloader['dataset'] = dict(dataset=scenes, num_pairs={pictures})
load_from = None
model['roi_head']['sim_head'] = dict(feat_dim={dims})
"""
_DISTILLER = """
model['distiller'] = dict(
    teacher='{folder}/det.py', checkpoint='{folder}/det.pth'
)
"""
_FROZEN = """
custom_hooks = [dict(type='FrozenLUTHook', teacher='{folder}/table.pth')]
"""
#: Name -> config that it is made of, what is added.
_NETWORKS = {
    'oim': ('oim/oim_r18_synth', _OIM),
    'kd_det': ('kd/oim_r18_det50_synth', _OIM + _DISTILLER),
    'kd_reid': ('kd/oim_r18_oim50_synth', _OIM + _FROZEN),
    'kd_both': ('kd/oim_r18_det50_oim50_synth', _OIM + _DISTILLER + _FROZEN),
    'qeeps': ('qeeps/qeeps_r18_synth', _OIM + _PAIRS),
    'nae': ('nae/nae_r18_synth', _OIM),
    'seqnet': ('seqnet/seqnet_r18_synth', _OIM),
    'oimnetpp': ('oimnetpp/oimnetpp_r18_synth', _OIM),
}
NETWORKS = tuple(_NETWORKS)
#: Parts of a checkpoint that differ from start to start.
_OF_THE_START = {'cfg', 'experiment_name', 'eta', 'start_from'}


def prepare(folder: Path) -> None:
    """Write data, teachers and a config NAME.py of each network.

    From then on this process can be forked; a child of it trains at once.
    """
    torch.set_num_threads(1)
    make_cuhk_sysu(folder / 'data')
    _write(folder, 'det', 'det/det_r50_synth', '', expansion=4)
    for name, (base, more) in _NETWORKS.items():
        _write(folder, name, base, more)
    teacher = network(load_config(str(folder / 'det.py')).model, seed=7)
    torch.save({'state_dict': teacher.state_dict()}, folder / 'det.pth')
    # imports what is left, and tells who is in the pictures
    train(folder / 'oim.py', folder / 'warm', 'experiment_name=warm')
    state = load(folder / 'warm' / f'epoch_{EPOCHS}.pth')['state_dict']
    names = identity_names(state)
    rows = torch.randn(len(names), DIMS, generator=_generator())
    table = IdentityTable(rows, tuple(names), 'random', 'random rows')
    write_table(table, folder / 'table.pth')
    gc.collect()
    gc.freeze()  # children need not look at it, nor copy it


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(9)


def _write(folder, name, base, more, expansion=1) -> None:
    both = any(part in base for part in ('nae/', 'seqnet/'))
    narrow, wide = 32 * expansion, 64 * expansion
    text = (_CONFIG + more).format(
        configs=CONFIGS,
        folder=folder,
        data=folder / 'data',
        name=base,
        narrow=narrow,
        wide=wide,
        channels=(narrow, wide) if both else wide,
        dims=DIMS,
        people=PEOPLE,
        epochs=EPOCHS,
        pictures=BATCHES * BATCH,
        batch=BATCH,
    )
    (folder / f'{name}.py').write_text(text)


def train(config: Path, work_dir: Path, *options: str) -> int:
    """Run ``mmps train``; returns its exit code.

    Args:
        config: Of ``prepare``, or one that is based on it.
        work_dir: Of the run.
        options: ``KEY=VALUE`` of its config, and other options before them.
    """
    words = ['train', str(config), '--work-dir', str(work_dir)]
    words += ['--traceback']
    words += [word for word in options if word.startswith('--')]
    changes = [word for word in options if not word.startswith('--')]
    return main([*words, '--cfg-options', *changes] if changes else words)


def resume(config: Path, work_dir: Path, *options: str) -> int:
    """As ``train``, from the newest checkpoint of the folder."""
    return train(config, work_dir, '--resume', *options)


def start(
    config: Path,
    work_dir: Path,
    *options: str,
    ranks: int = 1,
    function: Callable[..., int] = train,
    to_the_end: bool = False,
) -> list[Child]:
    """Start processes that train together.

    Args:
        config: As of ``train``.
        work_dir: As of ``train``. What a process prints is beside it.
        options: As of ``train``.
        ranks: Number of processes.
        function: ``train`` or ``resume``.
        to_the_end: As of ``Child``.
    """
    if ranks > 1:
        options = ('--launcher=pytorch', *options)
    return [
        Child(
            *(function, config, work_dir, *options),
            log=work_dir.parent / f'{work_dir.name}.{rank}.txt',
            environment=environment,
            to_the_end=to_the_end,
        )
        for rank, environment in enumerate(rank_environment(ranks))
    ]


def rank_environment(ranks: int) -> list[dict[str, str]]:
    """What a launcher tells its processes, one alone nothing."""
    if ranks == 1:
        return [{}]
    port = str(free_port())
    return [
        dict(
            RANK=str(rank),
            LOCAL_RANK=str(rank),
            WORLD_SIZE=str(ranks),
            MASTER_ADDR='127.0.0.1',
            MASTER_PORT=port,
        )
        for rank in range(ranks)
    ]


def succeed(children: list[Child]) -> None:
    """Wait until all have ended well."""
    for child in children:
        code = child.code()
        assert code == 0, (code, child.printed[-300:])


def table_of(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Lookup table (P, D) and queue (Q, D) of a checkpoint."""
    state = load(path)['state_dict']
    memory = 'roi_head.oim_head.loss_oim'
    return state[f'{memory}.table'], state[f'{memory}.queue']


def load(path: Path) -> dict:
    """What is in a checkpoint."""
    return torch.load(path, map_location='cpu', weights_only=True)


def logged(work_dir: Path) -> list[dict]:
    """What a training has logged at all of its starts, but for times."""
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    lines = [
        json.loads(line)
        for file in files
        for line in file.read_text().splitlines()
    ]
    return [
        {k: v for k, v in line.items() if not k.endswith('time')}
        for line in lines
    ]


def differences(one: Path, two: Path) -> list[str]:
    """Places where two checkpoints are not equal, to the last bit.

    Times, the text of the config and the folder may differ. Everything else
    is compared: weights, buffers, optimizer, schedules, averages, names of
    identities and the whole history.
    """
    values = [dict(_values(load(path))) for path in (one, two)]
    places = sorted(values[0].keys() ^ values[1].keys())
    return places + [
        place
        for place, value in values[0].items()
        if place in values[1] and not _equal(value, values[1][place])
    ]


def fingerprint(path: Path) -> str:
    """SHA-256 of all that ``differences`` compares."""
    digest = hashlib.sha256()
    for place, value in sorted(_values(load(path))):
        digest.update(place.encode())
        if isinstance(value, torch.Tensor):
            digest.update(value.contiguous().view(-1).numpy().tobytes())
        else:
            digest.update(repr(value).encode())
    return digest.hexdigest()


def count_numbers(path: Path) -> int:
    """Numbers that ``differences`` compares."""
    return sum(
        value.numel() if isinstance(value, torch.Tensor) else 1
        for _, value in _values(load(path))
    )


def _values(content: object, place: str = '') -> Iterator[tuple[str, object]]:
    if isinstance(content, dict | list | tuple):
        pairs = (
            content.items()
            if isinstance(content, dict)
            else enumerate(content)
        )
        for key, value in pairs:
            if key in _OF_THE_START or str(key).endswith('time'):
                continue
            if str(key).endswith('_ckpt') and isinstance(value, str):
                value = os.path.basename(value)
            yield from _values(value, f'{place}.{key}')
    else:
        yield place, content


def _equal(one: object, two: object) -> bool:
    if isinstance(one, torch.Tensor):
        return (
            isinstance(two, torch.Tensor)
            and one.dtype == two.dtype
            and one.shape == two.shape
            and torch.equal(one.view(torch.uint8), two.view(torch.uint8))
            if one.ndim
            else torch.equal(one, two)
        )
    return type(one) is type(two) and one == two
