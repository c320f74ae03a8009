"""Bring released files: from mirrors, verified, into the cache.

``$MMPS_ZOO_URL`` names mirrors, http, https or file, with blanks between
them; they are asked in turn, then the repository's own files. An installed
package asks the addresses last that it was built with: ``$MMPS_ZOO_URL`` of
its build, in the file ``zoo_url`` beside its index.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import print_log

from mmps.atomic_files import write_text
from mmps.checkpoints import CheckpointError, cache_dir, fetch
from mmps.checkpoints.download import file_name

from .errors import ZooError
from .external import External
from .index import Entry, Index, ReleasedFile, load_index

_SCHEME = 'zoo://'
#: File with the addresses that a package was built with.
_BUILT_IN = 'zoo_url'


def is_address(source: object) -> bool:
    """Whether this is ``zoo://NAME``."""
    return str(source).startswith(_SCHEME)


def mirrors(root: Path) -> list[str]:
    """Addresses below which the files of the zoo may be, best first.

    Args:
        root: Folder of the index; its files are a mirror, too.

    Raises:
        ZooError: One is no address.
    """
    named = os.environ.get('MMPS_ZOO_URL', '')
    file = root / _BUILT_IN
    built_in = file.read_text() if file.is_file() else ''
    return [
        *_addresses(named, 'MMPS_ZOO_URL'),
        root.resolve().as_uri(),
        *_addresses(built_in, file),
    ]


def _addresses(text: str, source: str | Path) -> list[str]:
    """Addresses with blanks between them, as mirrors are given."""
    for address in text.split():
        if not address.startswith(('http://', 'https://', 'file://')):
            raise ZooError(
                source,
                f'{address!r} is not an http, https or file address',
                'For a folder: MMPS_ZOO_URL=file:///path/of/folder',
            )
    return [address.rstrip('/') for address in text.split()]


def fetch_file(file: ReleasedFile, index: Index) -> Path:
    """Return the path of a released file in the cache.

    Args:
        file: Weights or table of an entry.
        index: Index that has the entry.

    Raises:
        CheckpointError: No mirror has it intact (says what each answered),
            or the cache cannot be written.
    """
    refused, own = [], index.root.resolve().as_uri()
    for address in mirrors(index.root):
        url = f'{address}/{file.path}'
        try:
            return fetch(
                url,
                sha256=file.sha256,
                size=file.size,
                folder=cache_dir() / 'zoo',
                tries=3,
            )
        except CheckpointError as error:
            if error.file != url:  # the cache is to blame, not the mirror
                raise
            refused.append(f'{url}: {error.problem}')
            if address != own:  # few clones have all files
                print_log(refused[-1], logger='current')
    raise CheckpointError(
        file.path,
        '\n  '.join(['no mirror has it', *refused]),
        'Set MMPS_ZOO_URL to a mirror, or download the file yourself and '
        'give its path',
    )


def weights_file(name: str, index: Index | None = None) -> Path:
    """Path of the weights of an entry, downloaded if need be.

    Args:
        name: Of the entry; ``zoo://`` in front is fine.
        index: The default one if None.

    Raises:
        CheckpointError: Unknown, not released, or nowhere to be had.
    """
    index = index or load_index()
    entry = index.find(name)
    if entry.weights is None:
        raise _not_released(entry, 'weights are')
    return fetch_file(entry.weights, index)


def table_file(name: str, index: Index | None = None) -> Path:
    """The same for its lookup table."""
    index = index or load_index()
    entry = index.find(name)
    if entry.table is None:
        raise _not_released(entry, 'lookup table is')
    return fetch_file(entry.table, index)


def resolve(address: str) -> tuple[Path, Path]:
    """Paths of config and weights of ``zoo://NAME``."""
    index = load_index()
    weights = weights_file(address, index)
    return index.root / index.find(address).config, weights


def fetch_external(entry: External) -> Path:
    """Return the path of the authors' file in the cache.

    The first download is trusted, unless the SHA-256 is known: its own is
    kept as ``<file>.sha256`` beside it. Later ones must have that hash.

    Raises:
        CheckpointError: It has no address (says where it is), is not what
            was downloaded before, or cannot be had.
    """
    if not entry.url:
        raise CheckpointError(
            entry.name,
            f'mmps cannot download it: {entry.where}',
            f'Download it yourself, then: {entry.convert_command}',
        )
    folder = cache_dir() / 'external' / entry.name
    beside = folder / f'{file_name(entry.url)}.sha256'
    kept = beside.read_text().split()[0] if beside.is_file() else ''
    known = entry.sha256 or kept
    path = fetch(entry.url, sha256=known or None, folder=folder)
    if not known:
        with open(path, 'rb') as file:
            known = hashlib.file_digest(file, 'sha256').hexdigest()
        print_log(
            f'{path.name}: SHA-256 {known}. Nobody has vouched for it yet: '
            'it is kept, and later downloads must have it',
            logger='current',
        )
        path = path.replace(folder / path.name)
    if kept != known:
        write_text(beside, f'{known}  {path.name}\n')
    return path


def download(names: Sequence[str], index: Index) -> list[Path]:
    """Bring all files of entries into the cache.

    Args:
        names: Of entries with weights or a table.
        index: Index that the names are looked up in.

    Returns:
        Where they are now.

    Raises:
        CheckpointError: Unknown, not released, or nowhere to be had.
    """
    entries = [index.find(name) for name in names]
    found = []
    for entry in entries:
        if entry.weights is not None or entry.table is None:
            found.append(weights_file(entry.name, index))
        if entry.table is not None:
            found.append(table_file(entry.name, index))
    return found


def verify(names: Sequence[str], index: Index) -> int:
    """Bring every released file, check it and say so.

    Args:
        names: Names of entries; all of the index if empty.
        index: Index that the names are looked up in.

    Returns:
        How many are not what they should be, or not to be had.
    """
    entries = [index.find(name) for name in names] or index.entries.values()
    bad = good = 0
    for entry in entries:
        for file in filter(None, (entry.weights, entry.table)):
            try:
                fetch_file(file, index)
            except CheckpointError as error:
                bad += 1
                print(f'BAD  {entry.name}: {error}')
            else:
                good += 1
                print(f'ok   {file.path}  sha256 {file.sha256[:16]}...')
    print(f'{good} files are as released, {bad} are not')
    return bad


def _not_released(entry: Entry, what: str) -> CheckpointError:
    return CheckpointError(
        f'{_SCHEME}{entry.name}',
        f'its {what} not released',
        f'Train it: {entry.train_command}',
    )
