"""From a training checkpoint to an entry of the zoo."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor

from mmps import __version__
from mmps.apis import build_dataset, load_config, run_test
from mmps.checkpoints import (
    CheckpointError,
    check_state_dict,
    load_checkpoint_file,
    write_atomically,
)
from mmps.checkpoints.fit import training_only
from mmps.configs import find_config
from mmps.distillation import read_table, write_table
from mmps.distillation.identity_table import identity_names
from mmps.errors import InputError
from mmps.evaluation.match_threshold import match_threshold
from mmps.evaluation.rankings import Search
from mmps.plain_model import plain_model
from mmps.provenance import (
    check_found_something,
    check_origin,
    known_commit,
)
from mmps.zoo.index import MATCH_THRESHOLD, Entry, ReleasedFile, load_index
from mmps.zoo.metafile import file_record, record, results_of
from mmps.zoo.publish import released_state, write_hashed, write_weights

#: Metadata of an entry that must be there before it is published.
_TERMS = ('Training Data', 'Data Terms', 'Weights License', 'Intended Use')


@dataclass(frozen=True)
class Training:
    """What a checkpoint does not know of itself.

    Attributes:
        commit: Commit of mmps that it was trained with.
        resources: Hardware.
        hours: How long it took.
        log: ``scalars.json``, or None.
    """

    commit: str
    resources: str
    hours: float
    log: Path | None = None


def publish(
    config: str,
    checkpoint: str,
    folder: Path,
    training: Training,
    *,
    half: bool,
    weights: bool,
    table: bool,
    cfg_options: dict | None = None,
) -> list[Path]:
    """Write the files of a release and record them in the metafile.

    Args:
        config: Its folder has a metafile with an entry of its name.
        checkpoint: Path of a checkpoint that the training has written.
        folder: Where the files go; they are asked for below its parent.
        training: How it came about.
        half: float16.
        weights: Whether to publish the network.
        table: Whether to publish the lookup table.
        cfg_options: For the test.

    Returns:
        The files.

    Raises:
        CheckpointError: The checkpoint is not one of a training, was trained
            with another config or on other data, does not fit the config,
            finds nothing, or its table has no names.
        InputError: There is no such config, its entry is missing, of another
            config, or lacks the terms of its data; or the commit is unknown.

    Nothing is written then.
    """
    config = find_config(config)
    entry, metafile = _entry(config, folder)
    name = entry.name
    commit = known_commit(training.commit, folder.resolve().parent)
    training = replace(training, commit=commit)
    cfg = load_config(str(config), cfg_options=cfg_options)
    saved = load_checkpoint_file(checkpoint)
    updates: dict = {'Metadata': _metadata(saved, training, checkpoint)}
    metainfo = build_dataset(cfg, 'train').metainfo
    check_origin(cfg, saved['meta'], metainfo, checkpoint)
    updates['Metadata']['Test Options'] = _as_options(cfg_options or {})
    rows = _table(checkpoint) if table else None
    log = training.log.read_bytes() if training.log else None
    paths = []
    if weights:
        state = _state(cfg, saved, checkpoint, half)
        names = identity_names(saved['state_dict'])
        file, results, limits = _weights(
            cfg, state, names, entry, folder, training, checkpoint
        )
        if limits:
            updates['Metadata'][MATCH_THRESHOLD] = limits[0]
        updates |= {**file_record(file, 'Weights'), 'Results': results}
        paths.append(file)
    if rows is not None:
        file = write_hashed(rows, folder, f'{name}_lut', '.pth')
        updates['Table'] = file_record(file, 'File')
        paths.append(file)
    if log is not None:
        updates['Log'] = f'{folder.name}/{name}.log.json'
        write_atomically(folder / f'{name}.log.json', log)
    record(metafile, name, updates)
    return [folder.parent / file.path for file in paths]


def _entry(config: Path, folder: Path) -> tuple[Entry, Path]:
    """The entry of a config, fit to be published, and its metafile."""
    name = config.stem
    root = folder.resolve().parent
    if not (root / 'model-index.yml').is_file():
        raise InputError(
            folder,
            f'lies in no checkout of mmps: there is no model-index.yml in '
            f'{root}',
            'Run this in the root of a checkout, or give its folder weights '
            'as --out',
        )
    index = load_index(root)
    if name not in index.entries:
        raise InputError(
            config,
            f'no metafile of the zoo in {index.root} has an entry {name}',
            'Add one to the metafile.yml beside the config; docs/model_zoo.md '
            'says what it needs',
        )
    entry = index.find(name)
    path = index.root / entry.config
    if not path.samefile(config):
        raise InputError(config, f'the entry {name} is of {path}')
    metafile = path.with_name('metafile.yml')
    lacking = [key for key in _TERMS if key not in entry.metadata]
    if lacking:
        raise InputError(
            metafile,
            f'{name} has no {", ".join(lacking)} in its Metadata',
            'Fill it in first',
        )
    return entry, metafile


def _metadata(saved: Mapping, training: Training, checkpoint: str) -> dict:
    meta = saved.get('meta', {})
    needed = ('seed', 'epoch', 'iter', 'cfg_text', 'dataset_meta')
    lacking = [key.removesuffix('_text') for key in needed if key not in meta]
    if lacking:
        raise CheckpointError(
            checkpoint,
            f'its meta has no {", ".join(lacking)}',
            'Publish a checkpoint that `mmps train` has written',
        )
    return {
        'Commit': training.commit,
        'Seed': meta['seed'],
        'Epochs': meta['epoch'],
        'Iterations': meta['iter'],
        'Training Resources': training.resources,
        'Training Time (hours)': training.hours,
    }


def _as_options(values: Mapping) -> str | None:
    """As ``--cfg-options`` takes them; None for none."""
    texts = {
        key: f'[{",".join(map(str, value))}]'
        if isinstance(value, list | tuple)
        else value
        for key, value in values.items()
    }
    return ' '.join(f'{key}={text}' for key, text in texts.items()) or None


def _state(
    cfg: Config, saved: Mapping, checkpoint: str, half: bool
) -> dict[str, Tensor]:
    """The weights of a checkpoint that a test needs, and no others."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(plain_model(cfg.model))
    state = released_state(saved['state_dict'], training_only(model), half)
    check_state_dict(model, state, checkpoint)
    return state


def _weights(
    cfg: Config,
    state: Mapping[str, Tensor],
    names: Sequence[str] | None,
    entry: Entry,
    folder: Path,
    training: Training,
    checkpoint: str,
) -> tuple[ReleasedFile, Sequence[Mapping], list[float]]:
    """Test what will be published, and publish it.

    Returns:
        The file, the figures, and the similarity of a match: one number, or
        none if the test searches for nobody.
    """
    header = {
        'name': entry.name,
        'mmps_version': __version__,
        'commit': training.commit,
        'config': json.dumps(plain_model(cfg.model).to_dict()),
        'identity_names': json.dumps(names),
        **{key: str(entry.metadata[key]) for key in _TERMS},
    }
    limits: list[float] = []

    def measure(search: Search) -> None:
        limits.append(round(match_threshold(search).similarity, 3))

    with tempfile.TemporaryDirectory() as place:
        trial = write_weights(state, {}, Path(place) / 'trial', entry.name)
        result = run_test(
            cfg, str(Path(place) / trial.path), on_search=measure
        )
    searches = bool((cfg.model.get('roi_head') or {}).get('oim_head'))
    check_found_something(result, searches, checkpoint)
    results = results_of(result, entry.metadata['Training Data'])
    header['metrics'] = json.dumps(results)
    file = write_weights(state, header, folder, entry.name)
    return file, results, limits


def _table(checkpoint: str) -> bytes:
    """The table file of a checkpoint."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / 'table.pth'
        write_table(read_table(checkpoint), path, half=True)
        return path.read_bytes()
