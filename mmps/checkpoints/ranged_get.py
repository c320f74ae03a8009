"""Read a file over http, in as many parts as the network needs."""

import http.client
import os
import re
import time
import urllib.error
import urllib.request
from pathlib import Path
from time import monotonic

from tqdm import tqdm

from .errors import CheckpointError

#: Bytes a second; one that is slower over the whole timeout is given up.
SLOWEST = 1000
#: Bytes of a file whose size nobody knows.
LARGEST = 8 << 30
_RETRY = (408, 429, 500, 502, 503, 504)


class _Interrupted(Exception):
    """A download stopped in a way that is worth another try.

    Args:
        reason: Why.
        validator: Tells whether the file is still the same, None: nothing.
        slow: Whether data came, but too slowly.
    """

    def __init__(
        self, reason: str, validator: str | None, slow: bool = False
    ) -> None:
        super().__init__(reason, validator, slow)


def pull_all(
    url: str,
    partial: Path,
    known: bool,
    timeout: float,
    tries: int,
    pause: float,
    size: int | None = None,
) -> int | None:
    """Pull until all is there; return the length the server told.

    A part is continued if a SHA-256 is ``known``, or if the server can tell
    (by a validator) that its file is still the same. With a ``size``, a
    server that says or sends another one is refused.

    Raises:
        CheckpointError: The server refuses, sends too much, or has stopped,
            or been slower than ``SLOWEST``, in ``tries`` tries in a row.
    """
    failures, most, validator = 0, size_of(partial), None
    while True:
        try:
            return _pull(url, partial, validator, timeout, size)
        except _Interrupted as interruption:
            reason, validator, slow = interruption.args
        went_on = size_of(partial) > most and not slow
        failures = 0 if went_on else failures + 1
        most = max(most, size_of(partial))
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


def size_of(path: Path) -> int:
    """Bytes of a file, 0 if there is none."""
    return path.stat().st_size if path.exists() else 0


def _pull(
    url: str,
    partial: Path,
    validator: str | None,
    timeout: float,
    size: int | None,
) -> int | None:
    """Ask once for what is missing and append it."""
    have = size_of(partial)
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
    except ValueError as error:  # the address was looked at before
        raise CheckpointError(
            url, f'the server redirects to what is no address: {error}'
        ) from error
    with reply:
        _refuse_web_page(url, reply)
        validator = reply.headers.get('ETag', '')
        if not validator or validator.startswith('W/'):  # weak: not bytes
            validator = reply.headers.get('Last-Modified')
        append = reply.status == 206
        total = _total(reply, have if append else 0)
        if append and not _starts_at(reply, have):
            partial.unlink(missing_ok=True)
            raise _Interrupted('the server sent another range', None)
        if total is not None and size is not None and total != size:
            raise _wrong_size(url, f'has {total:,} bytes', size)
        with tqdm(
            desc=partial.stem,
            total=total,
            initial=have if append else 0,
            unit='B',
            unit_scale=True,
            disable=None,  # where no one looks
        ) as progress:
            most = LARGEST if size is None else size
            limit = _Limit(url, partial, most, timeout, validator)
            _append(reply, partial, append, validator, progress, limit)
    if total is not None and size_of(partial) != total:
        raise _Interrupted(f'{total:,} bytes promised', validator)
    return total


class _Limit:
    """What a download may bring, and how slowly."""

    def __init__(
        self,
        url: str,
        partial: Path,
        most: int,
        timeout: float,
        validator: str | None,
    ) -> None:
        self._url, self._partial, self._most = url, partial, most
        self._timeout, self._validator = timeout, validator
        self._since, self._brought = monotonic(), 0

    def check(self, have: int, brought: int) -> None:
        """Look at ``brought`` new bytes behind the ``have`` that are there."""
        if have + brought > self._most:
            self._partial.unlink()
            raise _wrong_size(self._url, 'sends more', self._most)
        self._brought += brought
        seconds = monotonic() - self._since
        if seconds < self._timeout:
            return
        if self._brought < SLOWEST * seconds:
            raise _Interrupted(
                f'slower than {SLOWEST:,} bytes a second',
                self._validator,
                slow=True,
            )
        self._since, self._brought = monotonic(), 0


def _append(
    reply,
    partial: Path,
    append: bool,
    validator: str | None,
    progress: tqdm,
    limit: _Limit,
) -> None:
    try:
        file = open(partial, 'ab' if append else 'wb')  # noqa: SIM115
    except OSError as error:
        raise cannot_write(partial, error) from error
    with file:
        while True:
            try:
                # what has come; `read` would wait for all of the block
                block = reply.read1(1 << 16)
            except (OSError, http.client.HTTPException) as error:
                file.flush()
                raise _Interrupted(str(error), validator) from error
            if not block:
                break
            limit.check(file.tell(), len(block))
            progress.update(len(block))
            try:
                file.write(block)
            except OSError as error:
                raise cannot_write(partial, error) from error
        try:
            file.flush()
            os.fsync(file.fileno())
        except OSError as error:
            raise cannot_write(partial, error) from error


def _wrong_size(url: str, what: str, size: int) -> CheckpointError:
    return CheckpointError(
        url,
        f'the server {what} where {size:,} bytes are expected',
        'Use another address, or download the file yourself and give its path',
    )


def _refuse_web_page(url: str, reply) -> None:
    if reply.headers.get_content_type() in ('text/html', 'text/xhtml'):
        raise CheckpointError(
            url,
            'the server sent a web page instead of a file',
            'Open the address in a browser; it may ask for a login',
        )


def _total(reply, offset: int) -> int | None:
    length = reply.headers.get('Content-Length', '')
    return offset + int(length) if length.isdecimal() else None


def _starts_at(reply, offset: int) -> bool:
    span = reply.headers.get('Content-Range', '')
    match = re.match(r'bytes (\d+)-', span)
    return match is not None and int(match[1]) == offset


def cannot_write(path: Path, error: OSError) -> CheckpointError:
    """The error of a disk that is full or read-only."""
    return CheckpointError(
        path,
        f'cannot be written: {error.strerror or error}',
        'Free some space or set MMPS_CACHE to another folder',
    )
