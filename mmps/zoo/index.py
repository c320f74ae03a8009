"""What there is: one entry per config, read from the metafiles.

``model-index.yml`` lists a ``metafile.yml`` per folder of configs, in the
format of OpenMMLab that ``mim`` reads. Besides its keys, ours are

    Paper Results   what the paper reports
    Weights         path of the file, below the address of a mirror
    SHA256, Size    of the weights; 64 hex digits, bytes
    Table           File, SHA256, Size of the lookup table
    Log             scalars of the training

An entry without ``Weights`` is not released.
"""

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import yaml

from mmps.checkpoints.errors import CheckpointError

from .errors import ZooError

_INDEX = 'model-index.yml'
#: The one in C, where there is one: much faster, above all on nonsense.
_LOADER = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)
_DEEPEST = 50  # list or mapping in another
_SHOWN = 80  # characters of a value that is wrong
_SHA256 = re.compile('[0-9a-f]{64}')
#: Key of the metadata: similarity from which on the network calls two people
#: the same, see ``mmps.evaluation.match_threshold``.
MATCH_THRESHOLD = 'Match Threshold'
#: Data that anyone can draw, by the last part of a config's name.
_SYNTHETIC = ('synth', 'others', 'tiny', 'quick', 'crowded', 'crowded_3x')


@dataclass(frozen=True)
class ReleasedFile:
    """A file of the zoo.

    Attributes:
        path: Below the address of a mirror.
        sha256: 64 hex digits.
        size: Bytes.
    """

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Entry:
    """One config and what is known of it.

    Attributes:
        name: That of the config file, without '.py'.
        config: Path of the config below the root of the index.
        collection: Method.
        metadata: Training data, epochs, seed, commit, hardware, ...
        paper: Data set -> metric -> figure in percent, of the paper.
        results: The same, ours; empty if it was not trained.
        weights: None if it is not released.
        table: Lookup table, None if it is not released.
        log: Path of the scalars of the training, '' if there are none.
    """

    name: str
    config: str
    collection: str
    metadata: Mapping
    paper: Mapping[str, Mapping[str, float]]
    results: Mapping[str, Mapping[str, float]]
    weights: ReleasedFile | None
    table: ReleasedFile | None
    log: str

    @property
    def train_command(self) -> str:
        """What trains it, in the setting that its config is written for."""
        amp = ' --amp' if self.name.endswith(_SYNTHETIC) else ''
        return f'mmps train {Path(self.config).stem}{amp}'

    @property
    def is_synthetic(self) -> bool:
        """Whether it was trained on what tools/make_synthetic.py makes."""
        return str(self.metadata.get('Training Data', '')).startswith('synth')

    @property
    def match_threshold(self) -> float | None:
        """Similarity from which on two people are the same, if measured."""
        return self.metadata.get(MATCH_THRESHOLD)

    @property
    def test_command(self) -> str:
        """What gives ``results``, of released weights."""
        command = f'mmps test {Path(self.config).stem} zoo://{self.name}'
        options = self.metadata.get('Test Options')
        return f'{command} --cfg-options {options}' if options else command


@dataclass(frozen=True)
class Index:
    """All entries.

    Attributes:
        root: Folder of ``model-index.yml``.
        entries: By name.
    """

    root: Path
    entries: Mapping[str, Entry]

    def find(self, name: str) -> Entry:
        """Return an entry; ``zoo://`` in front is fine.

        Raises:
            CheckpointError: There is none; names the most similar ones.
        """
        name = name.removeprefix('zoo://')
        if name not in self.entries:
            close = difflib.get_close_matches(name, self.entries, 3)
            hint = f'Did you mean {" or ".join(close)}? ' if close else ''
            raise CheckpointError(
                f'zoo://{name}',
                f'not one of the {len(self.entries)} names of the zoo',
                f'{hint}`mmps zoo list --all` shows all',
            )
        return self.entries[name]


def find_root() -> Path:
    """The folder of the index: the repository, else inside the package."""
    package = Path(__file__).parents[1]
    for root in (package.parent, package / '.mim'):
        if (root / _INDEX).is_file():
            return root
    raise ZooError(
        package / '.mim' / _INDEX,
        'no such file: this mmps was installed without its zoo',
        'Install it from a clone: pip install -e .',
    )


def load_index(root: Path | None = None) -> Index:
    """Read the metafiles.

    Args:
        root: Folder of ``model-index.yml``, ``find_root()`` if None.

    Raises:
        ZooError: A file is missing or a key is wrong; names both.
    """
    return _load_index(root or find_root())


def forget_indexes() -> None:
    """Read the metafiles again the next time: one was written to."""
    _load_index.cache_clear()


@lru_cache(maxsize=4)
def _load_index(root: Path) -> Index:
    entries = {}
    index = read_metafile(root / _INDEX)
    for part in _get(index, 'Import', list, '', root / _INDEX):
        if not _is_inside(part):
            raise ZooError(
                root / _INDEX,
                f'Import: {_short(part)} is not the path of a file below this '
                'folder',
            )
        path = root / part
        for model in _get(read_metafile(path), 'Models', list, '', path):
            entry = _entry(model, path)
            if entry.name in entries:
                raise ZooError(path, f'{entry.name} is listed twice')
            entries[entry.name] = entry
    return Index(root, entries)


def read_metafile(path: Path) -> dict:
    """Content of a metafile or of the index.

    Raises:
        ZooError: It cannot be read, or is something else.
    """
    try:
        content = _loaded(path.read_text('utf-8'))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ZooError(path, f'cannot be read: {error}') from error
    if not isinstance(content, dict):
        raise ZooError(path, 'is not a mapping of keys to values')
    return content


def _loaded(text: str) -> object:
    """YAML of some levels, without aliases.

    A few aliases of aliases stand for more than memory holds.
    """
    depth = 0
    for event in yaml.parse(text, _LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        problem = ''
        if isinstance(event, yaml.AliasEvent):
            problem = 'an alias (*name) is not read here'
        elif depth > _DEEPEST:
            problem = 'is nested too deep to be read'
        if problem:
            raise yaml.MarkedYAMLError(
                problem=problem, problem_mark=event.start_mark
            )
    return yaml.load(text, _LOADER)


def _entry(model: dict, path: Path) -> Entry:
    if not isinstance(model, dict):
        raise ZooError(path, f'Models: {_short(model)} is not a mapping')
    name = model.get('Name', '?')
    what = f'entry {name}: '
    for key in ('Name', 'In Collection', 'Config'):
        if not isinstance(model.get(key), str):
            raise ZooError(path, f'{what}{key} is missing')
    metadata = _get(model, 'Metadata', dict, what, path)
    limit = metadata.get(MATCH_THRESHOLD, 0)
    if not is_figure(limit) or abs(limit) > 1:
        raise ZooError(
            path, f'{what}{MATCH_THRESHOLD} is {limit!r}, no similarity'
        )
    weights = table = None
    if 'Weights' in model:
        weights = _file(model, 'Weights', what, path)
    if 'Table' in model:
        record = _get(model, 'Table', dict, what, path)
        table = _file(record, 'File', f'{what}Table: ', path)
    return Entry(
        name=name,
        config=model['Config'],
        collection=model['In Collection'],
        metadata=metadata,
        paper=_results(model, 'Paper Results', what, path),
        results=_results(model, 'Results', what, path),
        weights=weights,
        table=table,
        log=_get(model, 'Log', str, what, path),
    )


def _get(content: dict, key: str, kind: type, what: str, path: Path):
    """A value of this kind, an empty one if the key is not there."""
    value = content.get(key, kind())
    if not isinstance(value, kind):
        raise ZooError(
            path, f'{what}{key} is {_short(value)}, not a {kind.__name__}'
        )
    return value


def _is_inside(name: object) -> bool:
    """Whether a value is a relative path that does not lead upwards."""
    return (
        isinstance(name, str) and not name.startswith('/') and '..' not in name
    )


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f'{text[:_SHOWN]}...'


def _results(model: dict, key: str, what: str, path: Path) -> dict[str, dict]:
    """Data set -> metrics of all tasks."""
    found: dict[str, dict] = {}
    for result in _get(model, key, list, what, path):
        if not isinstance(result, dict) or not (
            isinstance(result.get('Dataset'), str)
            and isinstance(result.get('Metrics'), dict)
        ):
            raise ZooError(
                path,
                f'{what}{key} needs Dataset, a name, and Metrics, a mapping',
            )
        for name, figure in result['Metrics'].items():
            if not isinstance(name, str) or not is_figure(figure):
                raise ZooError(
                    path, f'{what}{key}: {name} is {figure!r}, no figure'
                )
        found.setdefault(result['Dataset'], {}).update(result['Metrics'])
    return found


def is_figure(value: object) -> bool:
    """Whether a value of a metafile is a finite number."""
    return type(value) in (int, float) and abs(value) < math.inf


def _file(record: dict, key: str, what: str, path: Path) -> ReleasedFile:
    name, sha256, size = (record.get(k) for k in (key, 'SHA256', 'Size'))
    if not _is_inside(name):
        raise ZooError(path, f'{what}{key} is not a relative path')
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise ZooError(path, f'{what}SHA256 needs 64 hex digits')
    if type(size) is not int or size < 1:
        raise ZooError(path, f'{what}Size needs a number of bytes')
    return ReleasedFile(name, sha256, size)
