"""Write to a metafile what was trained, published and measured."""

import math
from collections.abc import Mapping
from pathlib import Path

import yaml

from mmps.atomic_files import write_text
from mmps.structures import split_result_key

from .errors import ZooError
from .index import ReleasedFile, forget_indexes, read_metafile

#: Of a test, in this order; the others are counts.
_SEARCH = ('mAP', 'top-1', 'top-5', 'top-10')
_DETECTION = ('AP', 'recall')


class _WithoutAliases(yaml.SafeDumper):
    """``read_metafile`` refuses them."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def dumps(content: Mapping) -> str:
    """The one way in which a metafile is written."""
    return yaml.dump(
        content,
        None,
        _WithoutAliases,
        sort_keys=False,
        allow_unicode=True,
        width=79,
    )


def file_record(file: ReleasedFile, key: str) -> dict:
    """As the metafile has it; ``key`` is that of the path."""
    return {key: file.path, 'SHA256': file.sha256, 'Size': file.size}


def results_of(result: Mapping[str, float], data: str) -> list[dict]:
    """Figures of a test in percent, as they are printed.

    Args:
        result: Of ``run_test``, such as 'G100/mAP', in [0, 1].
        data: Name of the data set.
    """
    tables: dict[str, dict[str, float]] = {}
    for key, value in result.items():
        protocol, metric = split_result_key(key)
        wanted = _DETECTION if protocol == 'det' else _SEARCH
        if metric in wanted and value is not None and not math.isnan(value):
            row = tables.setdefault(protocol, {})
            row[metric] = float(f'{100 * value:.1f}')
    return [
        {
            'Task': 'Object Detection'
            if protocol == 'det'
            else 'Person Search',
            'Dataset': data if protocol == 'det' else f'{data}, {protocol}',
            'Metrics': metrics,
        }
        for protocol, metrics in tables.items()
    ]


def record(path: Path, name: str, updates: Mapping) -> None:
    """Change one entry of a metafile.

    Args:
        path: Path of a ``metafile.yml``.
        name: ``Name`` of the entry that changes.
        updates: Keys and their new values. ``Metadata`` is merged; None
            takes a key out of it.

    Raises:
        ZooError: There is no such file or entry.
    """
    content = read_metafile(path)
    for model in content.get('Models', []):
        if model['Name'] == name:
            break
    else:
        raise ZooError(
            path,
            f'has no entry {name}',
            'Add one with Name, In Collection, Config and Metadata',
        )
    metadata = {**model.get('Metadata', {}), **updates.get('Metadata', {})}
    model.update(updates)
    model['Metadata'] = {
        key: value for key, value in metadata.items() if value is not None
    }
    write_text(path, dumps(content))
    forget_indexes()
