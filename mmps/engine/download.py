"""Fetch a file once, whole, into a cache.

A file enters the cache by one rename, after its length, its SHA-256 (if the
name carries one, as ``resnet18-f37072fd.pth`` does) and its own checksums were
checked. Until then it is ``<name>.partial``, which an interrupted download
leaves behind and the next one continues.

One process downloads, others that want the same file wait for it: the ranks
of a node need no barrier.
"""

import contextlib
import hashlib
import http.client
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from mmengine.logging import print_log

from .atomic import rename_durably
from .checkpoint_io import check_sha256, hash_in_name
from .errors import CheckpointError

try:
    import fcntl
except ImportError:  # not on this system: two processes may both download
    fcntl = None

_RETRY = (408, 429, 500, 502, 503, 504)


class _Interrupted(Exception):
    """A download stopped in a way that is worth another try."""


def cache_dir() -> Path:
    """Return ``$MMPS_CACHE``, else ``~/.cache/mmps``; creates nothing."""
    return Path(os.environ.get('MMPS_CACHE') or '~/.cache/mmps').expanduser()


def file_name(url: str) -> str:
    """Return the last part of an address, without what follows a '?'."""
    parts = urllib.parse.urlsplit(url)
    name = urllib.parse.unquote(parts.path).rsplit('/', 1)[-1]
    if parts.scheme not in ('http', 'https') or name in ('', '.', '..'):
        raise CheckpointError(url, 'not the http or https address of a file')
    return name


def fetch(
    url: str,
    *,
    sha256: str | None = None,
    check: Callable[[Path], None] | None = None,
    folder: Path | None = None,
    timeout: float = 30.0,
    tries: int = 4,
    pause: float = 1.0,
) -> Path:
    """Return the cached file of an address, downloading it if need be.

    Args:
        url: http or https.
        sha256: First 8 or more hex digits; taken from the name if None.
        check: Raises CheckpointError if the file is not what it should be;
            called before the file enters the cache.
        folder: Where to cache, ``cache_dir()`` / 'checkpoints' if None.
        timeout: Seconds without any data after which a try is given up.
        tries: Tries in a row that bring no new data.
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
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(
            folder, f'cannot be created: {error.strerror}', 'Set MMPS_CACHE'
        ) from error
    with _one_at_a_time(folder / f'{name}.lock'):
        if target.is_file() and _still_good(target, sha256):
            return target
        partial = folder / f'{name}.partial'
        if sha256 is None:  # nothing would tell parts of two versions apart
            partial.unlink(missing_ok=True)
        print_log(f'Downloading {url} to {target}', logger='current')
        while True:
            continued = _size(partial) > 0
            known = sha256 is not None
            length = _complete(url, partial, known, timeout, tries, pause)
            try:
                _verify(partial, length, sha256, check)
                break
            except CheckpointError as error:
                partial.unlink()
                if not continued:  # else an old part may be to blame
                    raise _refused(url, error) from error
        rename_durably(partial, target)
        return target


def _complete(
    url: str,
    partial: Path,
    known: bool,
    timeout: float,
    tries: int,
    pause: float,
) -> int | None:
    """Pull until all is there; return the length the server told.

    A part is continued if a SHA-256 is ``known``, or if the server can tell
    (by a validator) that its file is still the same.
    """
    failures, most, validator = 0, _size(partial), None
    while True:
        try:
            return _pull(url, partial, validator, timeout)
        except _Interrupted as interruption:
            reason, validator = interruption.args
        failures = 0 if _size(partial) > most else failures + 1
        most = max(most, _size(partial))
        if not known and not validator:
            partial.unlink(missing_ok=True)
        if failures >= tries:
            raise CheckpointError(
                url,
                f'download stopped {failures} times in a row at byte '
                f'{most:,}: {reason}',
                'Run again, or download the file yourself and give its path',
            )
        if failures:
            time.sleep(pause * 2 ** (failures - 1))


def _pull(
    url: str, partial: Path, validator: str | None, timeout: float
) -> int | None:
    """Ask once for what is missing and append it."""
    have = _size(partial)
    headers = {'Accept-Encoding': 'identity', 'User-Agent': 'mmps'}
    if have:
        headers['Range'] = f'bytes={have}-'
        if validator:
            headers['If-Range'] = validator
    request = urllib.request.Request(url, headers=headers)
    try:
        reply = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:  # the part is longer than the file
                partial.unlink(missing_ok=True)
                raise _Interrupted('range refused', None) from error
            if error.code in _RETRY:
                raise _Interrupted(str(error), validator) from error
        raise CheckpointError(
            url, f'the server answers {error.code} {error.reason}'
        ) from error
    except (OSError, http.client.HTTPException) as error:
        raise _Interrupted(str(error), validator) from error
    with reply:
        _refuse_web_page(url, reply)
        validator = reply.headers.get('ETag', '')
        if not validator or validator.startswith('W/'):  # weak: not bytes
            validator = reply.headers.get('Last-Modified')
        append = reply.status == 206
        total = _total(reply, have if append else 0)
        if append and not _starts_at(reply, have):
            partial.unlink(missing_ok=True)
            raise _Interrupted('another range than asked for', None)
        _append(url, reply, partial, append, validator)
    if total is not None and _size(partial) != total:
        raise _Interrupted(f'{total:,} bytes promised', validator)
    return total


def _append(url, reply, partial: Path, append: bool, validator) -> None:
    try:
        file = open(partial, 'ab' if append else 'wb')  # noqa: SIM115
    except OSError as error:
        raise _cannot_write(partial, error) from error
    with file:
        while True:
            try:
                block = reply.read(1 << 16)
            except (OSError, http.client.HTTPException) as error:
                file.flush()
                raise _Interrupted(str(error), validator) from error
            if not block:
                break
            try:
                file.write(block)
            except OSError as error:
                raise _cannot_write(partial, error) from error
        try:
            file.flush()
            os.fsync(file.fileno())
        except OSError as error:
            raise _cannot_write(partial, error) from error


def _verify(partial: Path, length: int | None, sha256: str | None, check):
    if length is None and sha256 is None and check is None:
        raise CheckpointError(
            partial, 'the server told no length and no SHA-256'
        )
    if sha256 is not None:
        check_sha256(partial, sha256)
    if check is not None:
        check(partial)


def _refused(url: str, error: CheckpointError) -> CheckpointError:
    return CheckpointError(
        url,
        f'what was downloaded is refused: {error.problem}',
        'Try again or take another address. Digits at the end of a name are '
        'taken for its SHA-256; if they are a date, download the file '
        'yourself and give its path',
    )


def _refuse_web_page(url: str, reply) -> None:
    if reply.headers.get_content_type() in ('text/html', 'text/xhtml'):
        raise CheckpointError(
            url,
            'the server sent a web page instead of a file',
            'Open the address in a browser; it may ask for a login',
        )


def _total(reply, offset: int) -> int | None:
    length = reply.headers.get('Content-Length')
    return None if length is None else offset + int(length)


def _starts_at(reply, offset: int) -> bool:
    span = reply.headers.get('Content-Range', '')
    match = re.match(r'bytes (\d+)-', span)
    return match is not None and int(match[1]) == offset


def _still_good(target: Path, sha256: str | None) -> bool:
    if sha256 is None:
        return True
    try:
        check_sha256(target, sha256)
    except CheckpointError:
        target.unlink()
        return False
    return True


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _cannot_write(path: Path, error: OSError) -> CheckpointError:
    return CheckpointError(
        path,
        f'cannot be written: {error.strerror or error}',
        'Free some space or set MMPS_CACHE to another folder',
    )


@contextlib.contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    with open(lock, 'w') as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)  # released by the system
        yield
