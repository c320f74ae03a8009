"""From a training checkpoint to an entry of the zoo."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmps import __version__
from mmps.apis import load_config, run_test
from mmps.distillation import read_table, write_table
from mmps.engine import (
    check_state_dict,
    load_checkpoint_file,
    write_atomically,
)
from mmps.engine.key_report import training_only
from mmps.zoo.index import Entry, ReleasedFile, load_index
from mmps.zoo.metafile import file_record, record, results_of
from mmps.zoo.publish import released_state, write_hashed, write_weights

#: Metadata of an entry that must be there before it is published.
_TERMS = ('Training Data', 'Data Terms', 'Weights License', 'Intended Use')


@dataclass(frozen=True)
class Training:
    """What a checkpoint does not know of itself.

    Attributes:
        commit: Of the code.
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
        checkpoint: Of the training, a path.
        folder: Where the files go; they are asked for below its parent.
        training: How it came about.
        half: float16.
        weights: Whether to publish the network.
        table: Whether to publish the lookup table.
        cfg_options: For the test.

    Returns:
        The files.

    Raises:
        CheckpointError: The checkpoint does not fit the config, or the entry
            lacks the terms of its data.
    """
    name = Path(config).stem
    entry = load_index(folder.resolve().parent).find(name)
    lacking = [key for key in _TERMS if key not in entry.metadata]
    if lacking:
        raise ValueError(
            f'{Path(config).parent / "metafile.yml"}: {name} has no '
            f'{", ".join(lacking)} in its Metadata; fill it in first'
        )
    cfg = load_config(config, cfg_options=cfg_options)
    saved = load_checkpoint_file(checkpoint)
    updates: dict = {'Metadata': _metadata(saved, training)}
    paths = []
    if weights:
        file, results = _weights(cfg, saved, entry, folder, half, training)
        updates |= {**file_record(file, 'Weights'), 'Results': results}
        paths.append(file)
    if table:
        file = _table(checkpoint, entry, folder)
        updates['Table'] = file_record(file, 'File')
        paths.append(file)
    if training.log is not None:
        log = folder / f'{name}.log.json'
        write_atomically(log, training.log.read_bytes())
        updates['Log'] = f'{folder.name}/{log.name}'
    record(Path(config).parent / 'metafile.yml', name, updates)
    return [folder.parent / file.path for file in paths]


def _metadata(saved: Mapping, training: Training) -> dict:
    meta = saved.get('meta', {})
    return {
        'Commit': training.commit,
        'Seed': meta.get('seed'),
        'Epochs': meta.get('epoch'),
        'Iterations': meta.get('iter'),
        'Training Resources': training.resources,
        'Training Time (hours)': training.hours,
    }


def _weights(
    cfg: Config,
    saved: Mapping,
    entry: Entry,
    folder: Path,
    half: bool,
    training: Training,
) -> tuple[ReleasedFile, Sequence[Mapping]]:
    """Test what will be published, and publish it."""
    plain = cfg.model.copy()
    plain.pop('distiller', None)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(plain)
    state = released_state(saved['state_dict'], training_only(model), half)
    check_state_dict(model, state, entry.name)
    data = entry.metadata['Training Data']
    with tempfile.TemporaryDirectory() as place:
        trial = write_weights(state, {}, Path(place) / 'trial', entry.name)
        result = run_test(cfg, str(Path(place) / trial.path))
    results = results_of(result, data)
    header = {
        'name': entry.name,
        'mmps_version': __version__,
        'commit': training.commit,
        'config': json.dumps(plain.to_dict()),
        'metrics': json.dumps(results),
        'identity_names': json.dumps(_names(saved)),
        **{key: str(entry.metadata[key]) for key in _TERMS},
    }
    return write_weights(state, header, folder, entry.name), results


def _names(saved: Mapping) -> list[str]:
    """Identities that it was trained on."""
    for key, value in saved['state_dict'].items():
        if key.endswith('loss_oim._extra_state'):
            return bytes(value.tolist()).decode().split('\n')
    return []


def _table(checkpoint: str, entry: Entry, folder: Path) -> ReleasedFile:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / 'table.pth'
        write_table(read_table(checkpoint), path, half=True)
        content = path.read_bytes()
    return write_hashed(content, folder, f'{entry.name}_lut', '.pth')
