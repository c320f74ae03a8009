"""Fetch a file once, whole, into a cache.

A file enters the cache by one rename, after its length, its SHA-256 (if the
name carries one, as ``resnet18-f37072fd.pth`` does) and its own checksums were
checked. Until then it is ``<name>.partial``, which an interrupted download
leaves behind and the next one continues.

One process downloads, others that want the same file wait for it: the ranks
of a node need no barrier. A ``file://`` address is copied in the same way.
"""

import contextlib
import hashlib
import os
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from mmengine.logging import print_log

from mmps.atomic_files import rename_durably

from .errors import CheckpointError
from .ranged_get import cannot_write, pull_all, size_of
from .reading import check_sha256, hash_in_name

try:
    import fcntl
except ImportError:  # not on this system: two processes may both download
    fcntl = None

#: Bytes of a file's name; the cache adds some, and systems allow 255.
_LONGEST = 200
_SCHEMES = ('http', 'https', 'file')


def cache_dir() -> Path:
    """Return ``$MMPS_CACHE``, else ``~/.cache/mmps``; creates nothing."""
    return Path(os.environ.get('MMPS_CACHE') or '~/.cache/mmps').expanduser()


def file_name(url: str) -> str:
    """Return the last part of an address, without what follows a '?'."""
    try:
        url.encode()
        parts = urllib.parse.urlsplit(url)
    except ValueError as error:
        raise CheckpointError(url, f'not an address: {error}') from error
    name = urllib.parse.unquote(parts.path).rsplit('/', 1)[-1]
    if '\0' in name or len(name.encode()) > _LONGEST:
        raise CheckpointError(
            url if len(url) <= _LONGEST else f'{url[:_LONGEST]}...',
            'does not end in the name of a file: it has a zero byte, or more '
            f'than {_LONGEST} bytes',
        )
    if parts.scheme not in _SCHEMES or name in ('', '.', '..'):
        raise CheckpointError(
            url, f'not the address of a file ({", ".join(_SCHEMES)})'
        )
    return name


def fetch(
    url: str,
    *,
    sha256: str | None = None,
    size: int | None = None,
    check: Callable[[Path], None] | None = None,
    folder: Path | None = None,
    timeout: float = 30.0,
    tries: int = 4,
    pause: float = 1.0,
) -> Path:
    """Return the cached file of an address, downloading it if need be.

    Args:
        url: http, https or file.
        sha256: First 8 or more hex digits; taken from the name if None.
        size: Bytes, if they are known; no more than that is stored.
        check: Raises CheckpointError if the file is not what it should be;
            called before the file enters the cache.
        folder: Where to cache, ``cache_dir()`` / 'checkpoints' if None.
        timeout: Seconds after which a try is given up that has brought no
            data, or less than ``ranged_get.SLOWEST`` bytes a second.
        tries: Such tries in a row.
        pause: Seconds before the second try, doubled each time.

    Raises:
        CheckpointError: Nothing unverified is left in the cache.
    """
    name = file_name(url)
    sha256 = sha256 or hash_in_name(name)
    folder = folder or cache_dir() / 'checkpoints'
    if sha256 is None:  # a name alone does not tell two files apart
        folder = folder / hashlib.sha256(url.encode()).hexdigest()[:12]
    target = folder / name
    if _is_good(target, sha256):
        return target
    with _one_at_a_time(folder / f'{name}.lock'):
        if _is_good(target, sha256):  # another process was faster
            return target
        partial = folder / f'{name}.partial'
        if sha256 is None:  # nothing would tell parts of two versions apart
            partial.unlink(missing_ok=True)
        print_log(f'Downloading {url} to {target}', logger='current')
        while True:
            continued = size_of(partial) > 0
            known = sha256 is not None
            if url.startswith('file:'):
                length = _copy(url, partial, size)
            else:
                length = pull_all(
                    url, partial, known, timeout, tries, pause, size
                )
            try:
                _verify(partial, length, sha256, check)
                break
            except CheckpointError as error:
                partial.unlink()
                if not continued:  # else an old part may be to blame
                    raise _refused(url, error) from error
        rename_durably(partial, target)
        return target


def _copy(url: str, partial: Path, size: int | None) -> int:
    """Copy a file of this machine; returns its length."""
    parts = urllib.parse.urlsplit(url)
    if parts.netloc not in ('', 'localhost'):
        raise CheckpointError(
            url,
            f'{parts.netloc!r} is read as the name of another machine',
            'Put three slashes before a path: file:///path/of/file',
        )
    try:
        source = Path(urllib.request.url2pathname(parts.path))
        found = source.stat().st_size
        if not source.is_file() and not source.is_dir():
            raise CheckpointError(url, 'is no file')
        if source.is_file() and size not in (None, found):
            raise CheckpointError(
                url, f'has {found:,} bytes where {size:,} are expected'
            )
        content = source.read_bytes()
    except OSError as error:
        raise CheckpointError(url, error.strerror or str(error)) from error
    except ValueError as error:  # of a path with a zero byte
        raise CheckpointError(url, f'is no path: {error}') from error
    try:
        partial.write_bytes(content)
    except OSError as error:
        raise cannot_write(partial, error) from error
    return len(content)


def _verify(partial: Path, length: int | None, sha256: str | None, check):
    if length is None and sha256 is None and check is None:
        raise CheckpointError(
            partial, 'the server sent neither length nor SHA-256'
        )
    if sha256 is not None:
        check_sha256(partial, sha256)
    if check is not None:
        check(partial)


def _refused(url: str, error: CheckpointError) -> CheckpointError:
    return CheckpointError(
        url,
        f'the downloaded file is refused: {error.problem}',
        'Try again or use another address. Hexadecimal digits at the end of '
        'a name are read as its SHA-256; if they are a date, download the '
        'file yourself and give its path',
    )


def _is_good(target: Path, sha256: str | None) -> bool:
    """Whether a file is there and has not changed since."""
    if not target.is_file():
        return False
    if sha256 is not None:
        try:
            check_sha256(target, sha256)
        except CheckpointError:
            return False
    return True


@contextlib.contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = open(lock, 'w')  # noqa: SIM115
    except OSError as error:
        raise CheckpointError(
            lock.parent,
            f'nothing can be cached here: {error.strerror}',
            'Set MMPS_CACHE to another folder',
        ) from error
    with file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print_log(
                    f'Waiting for another process that downloads {lock.stem}',
                    logger='current',
                )
                fcntl.flock(file, fcntl.LOCK_EX)  # released by the system
        yield
