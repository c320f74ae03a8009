"""Train and test a config: what `mmps train` and `mmps test` call.

``PersonSearchInferencer``, which searches in pictures of no data set, lives in
``mmps.inference`` and can be had from here too.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from mmdet.registry import DATASETS
from mmengine.config import Config, DictAction
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from tqdm import tqdm

from mmps.checkpoints import read_weights
from mmps.configs import check_overrides, config_name, find_config
from mmps.datasets import PersonSearchDataset
from mmps.distillation import (
    IdentityTable,
    compute_table,
    embeddings_of_people,
)
from mmps.engine import QuietRunner, enable_amp, launched
from mmps.errors import InputError
from mmps.evaluation import PairTestLoop, PersonSearchMetric
from mmps.evaluation.per_query import check_per_query
from mmps.evaluation.rankings import Search
from mmps.evaluation.result_text import write_json
from mmps.evaluation.scoring import select
from mmps.inference import PersonSearchInferencer
from mmps.inference.onnx_network import is_exported
from mmps.plain_model import plain_model
from mmps.visualization import save_query_pages

__all__ = [
    'UNTRAINED',
    'PersonSearchInferencer',
    'load_config',
    'load_pair_loop',
    'parse_options',
    'run_test',
    'run_training',
    'table_of',
]

#: In place of a checkpoint, to test random initial weights as a baseline.
UNTRAINED = 'untrained'


def load_config(
    config: str,
    *,
    work_dir: str | None = None,
    cfg_options: dict | None = None,
    launcher: str = 'none',
) -> Config:
    """Read a config and what the command line adds to it.

    Args:
        config: Path of a config, or the name of one of mmps.
        work_dir: Where logs and checkpoints go; the config's own, else
            ``work_dirs/<name of the config>``.
        cfg_options: Dotted keys and values that override the config.
        launcher: 'none', 'pytorch', 'slurm' or 'mpi'.

    Raises:
        InputError: There is no such config, or a key of ``cfg_options`` looks
            like a misspelt one.
    """
    cfg = Config.fromfile(find_config(config))
    if cfg_options:
        check_overrides(cfg.to_dict(), cfg_options)
        cfg.merge_from_dict(cfg_options)
    cfg.launcher = launcher
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = str(Path('work_dirs') / config_name(config))
    return cfg


def parse_options(options: list[str]) -> dict:
    """Turn ``['a.b=1', 'c=[x,y]']`` of a command line into a dict.

    Raises:
        InputError: One has no '='.
    """
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument('--options', nargs='*', action=DictAction, default={})
    if wrong := [option for option in options if '=' not in option]:
        raise InputError('--cfg-options', f'takes KEY=VALUE, got {wrong[0]!r}')
    return parser.parse_args(['--options', *options]).options


def run_training(
    cfg: Config,
    *,
    resume: str | None = None,
    amp: bool | str = False,
    auto_scale_lr: bool = False,
    accumulate: int = 1,
) -> None:
    """Train.

    Args:
        cfg: From ``load_config``; changed in place.
        resume: A checkpoint to go on from, or 'auto' for the newest intact
            one of the work_dir; if there is none, the run starts anew, from
            the config's ``load_from`` if it has one.
        amp: Mixed precision: 'fp16', 'bf16', or True: float16 on a GPU,
            bfloat16 on a CPU.
        auto_scale_lr: Multiply the learning rate by the number of samples per
            update (images, or pairs of a query-guided network) over the
            config's ``auto_scale_lr.base_batch_size``.
        accumulate: Iterations whose gradients are averaged before an update.

    Raises:
        ValueError: ``accumulate`` below 1, or a base batch size is missing.
        mmps.engine.Interrupted: A signal stopped the run; call its ``leave``.
    """
    if amp:
        enable_amp(cfg, 'auto' if amp is True else amp)
    if accumulate < 1:
        raise ValueError(f'--accumulate must be at least 1, got {accumulate}')
    if accumulate > 1:
        cfg.optim_wrapper.accumulative_counts = accumulate
    if auto_scale_lr:
        if 'base_batch_size' not in cfg.get('auto_scale_lr', {}):
            raise ValueError(
                '--auto-scale-lr needs auto_scale_lr.base_batch_size in the '
                'config: the batch size that its learning rate was set for'
            )
        cfg.auto_scale_lr.enable = True
        cfg.auto_scale_lr.base_batch_size /= accumulate
    if resume is not None:
        cfg.resume = True
        if resume == 'auto':  # SafeCheckpointHook starts there if need be
            cfg.start_from, cfg.load_from = cfg.get('load_from'), None
        else:
            cfg.load_from = resume
    launched(cfg, _train, cfg)


def _train(cfg: Config) -> None:
    QuietRunner.from_cfg(cfg).train()


def run_test(
    cfg: Config,
    checkpoint: str,
    *,
    dump: str | None = None,
    per_query: str | None = None,
    out: str | None = None,
    show: dict | None = None,
    on_search: Callable[[Search], object] | None = None,
) -> dict[str, float]:
    """Test.

    Args:
        cfg: From ``load_config``; changed in place.
        checkpoint: Path or URL, or ``UNTRAINED``; or the folder of an
            exported network (``mmps export``), which is tested on
            onnxruntime with the data and the protocols of the config.
        dump: Write boxes, scores and embeddings to this file.
        per_query: Write what each query found to this file, .csv or .json.
        out: Write the result to this JSON file.
        show: Draw queries and what was ranked first: ``out`` (folder) and
            other arguments of ``save_query_pages``.
        on_search: Called with what was ranked, in the first process; not
            called if the test has no protocol.

    Returns:
        What docs/evaluation.md describes.
    """
    if dump is not None:
        cfg.test_evaluator.dump = dump
    if per_query is not None:
        check_per_query(per_query)
        cfg.test_evaluator.per_query = per_query
    untrained = checkpoint == UNTRAINED
    exported = not untrained and is_exported(checkpoint)
    _prepare_test(cfg, None if untrained or exported else checkpoint)
    if exported:
        cfg.model = dict(type='ExportedNetwork', path=str(checkpoint))
    result = launched(
        cfg, _test, cfg, untrained=untrained, show=show, on_search=on_search
    )
    if out is not None and result is not None:
        write_json(result, out)
    return result


def _prepare_test(cfg: Config, checkpoint: str | None) -> None:
    """Leave what a test needs: no training data, no teacher.

    Args:
        cfg: Changed in place.
        checkpoint: What is tested, None for fresh weights.
    """
    cfg.load_from = checkpoint
    cfg.resume = False
    for key in (
        'train_cfg',
        'train_dataloader',
        'optim_wrapper',
        'val_cfg',
        'val_dataloader',
        'val_evaluator',
        'param_scheduler',
        'auto_scale_lr',
    ):
        cfg[key] = None
    cfg.model = plain_model(cfg.model)
    # what may be new to a start of training may not be new to a test
    if 'strict_load' in cfg.get('default_hooks', {}):
        cfg.default_hooks.strict_load.pop('allow', None)
    _read_asked_protocols(cfg)


def _read_asked_protocols(cfg: Config) -> None:
    """Let the data set read the protocols that are scored, and no others.

    G4000 of CUHK-SYSU alone takes 20 seconds. What the config says about the
    data set is left as it is.
    """
    metric = cfg.get('test_evaluator')
    dataset = (cfg.get('test_dataloader') or {}).get('dataset') or {}
    if not isinstance(metric, dict) or 'protocols' not in metric:
        return
    kind = DATASETS.get(dataset.get('type'))
    ours = isinstance(kind, type) and issubclass(kind, PersonSearchDataset)
    if ours and dataset.get('protocols') is None:
        dataset.protocols = metric.protocols


def _test(
    cfg: Config,
    untrained: bool,
    show: dict | None = None,
    on_search: Callable[[Search], object] | None = None,
) -> dict[str, float]:
    if cfg.model.type == 'ExportedNetwork':
        from mmps.export import tested  # noqa: F401 - registers it
    elif not untrained:
        read_weights(cfg.load_from)  # refused before the data are read
    runner = QuietRunner.from_cfg(cfg)
    if untrained:
        runner.model.init_weights()
    metric = _metric_to_show(runner, show) if show else None
    result = runner.test()
    for one in runner.test_loop.evaluator.metrics if on_search else ():
        if isinstance(one, PersonSearchMetric) and one.search is not None:
            on_search(one.search)
    if metric is not None and metric.search is not None:  # on one process
        dataset = runner.test_dataloader.dataset
        paths = [
            dataset.get_data_info(image)['img_path']
            for image in range(len(dataset))
        ]
        files = save_query_pages(metric.search, paths, **show)
        print_log(
            f'{len(files)} pictures of queries: {show["out"]}/index.html',
            logger='current',
        )
    return result


def _metric_to_show(runner: QuietRunner, show: dict) -> PersonSearchMetric:
    """The metric that will know what was ranked; refused before the test."""
    metrics = [
        metric
        for metric in runner.test_loop.evaluator.metrics
        if isinstance(metric, PersonSearchMetric)
    ]
    protocols = runner.test_dataloader.dataset.metainfo.get('protocols') or {}
    if metrics:
        protocols = select(protocols, metrics[0].protocols)
    if not metrics or not protocols:
        raise ValueError(
            'no search to show: the test needs a PersonSearchMetric '
            'and a protocol'
        )
    if show.get('protocol') is not None:
        select(protocols, [show['protocol']])
    return metrics[0]


def build_dataset(cfg: Config, split: str):
    """The data set of a loader of a config, with its pipeline.

    Args:
        cfg: Config with a loader of that split, as ``load_config`` reads it.
        split: 'train', 'val' or 'test'.

    Raises:
        ValueError: The config has no such loader.
    """
    loader = cfg.get(f'{split}_dataloader')
    if not loader:
        raise ValueError(
            f'{cfg.filename} has no {split}_dataloader; choose another split'
        )
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        return DATASETS.build(loader.dataset)


def load_pair_loop(cfg: Config, checkpoint: str) -> PairTestLoop:
    """Test loop of a query-guided network with its weights, not yet run.

    Its ``searcher()`` and ``pictures()`` run single pairs, in one process.

    Args:
        cfg: From ``load_config``; changed in place. Its ``test_cfg`` is a
            ``PairTestLoop``.
        checkpoint: Path or URL of the weights.
    """
    if cfg.test_cfg.get('type') != 'PairTestLoop':
        raise ValueError(
            f"{cfg.filename}: pairs need test_cfg=dict(type='PairTestLoop'), "
            f'this config has {cfg.test_cfg.get("type")}'
        )
    _prepare_test(cfg, checkpoint)
    runner = QuietRunner.from_cfg(cfg)
    runner.load_or_resume()
    runner.model.eval()
    return runner.test_loop


def table_of(cfg: Config, checkpoint: str) -> IdentityTable:
    """Compute a lookup table: the mean embedding of every training identity.

    Runs the model over the training images as it would be tested. Any model
    does that returns ``gt_instances.embeddings`` of the annotated boxes.

    Args:
        cfg: From ``load_config``; changed in place. Its training set names
            the images and the identities, its test set the pipeline.
        checkpoint: Path or URL of the weights.
    """
    loader = cfg.test_dataloader
    train = cfg.train_dataloader.dataset
    train = train.get('dataset', train)  # pairs hold the data set of images
    loader.dataset = {
        **train,
        'pipeline': loader.dataset.pipeline,
        'test_mode': True,
        'on_bad_image': 'raise',
    }
    cfg.test_evaluator = dict(type='PersonSearchMetric', protocols=[])
    _prepare_test(cfg, checkpoint)
    return launched(cfg, _table, cfg, checkpoint)


def _table(cfg: Config, checkpoint: str) -> IdentityTable:
    runner = QuietRunner.from_cfg(cfg)
    runner.load_or_resume()
    model = runner.model.eval()
    loader = runner.test_dataloader
    return compute_table(
        embeddings_of_people(
            getattr(model, 'embed_people', model.test_step),
            tqdm(loader, unit=' images', disable=None),
        ),
        loader.dataset.metainfo['identity_names'],
        f'mean embeddings of {Path(checkpoint).name}',
    )
