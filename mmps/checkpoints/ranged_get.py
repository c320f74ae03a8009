"""Read a file over http, in as many parts as the network needs."""

import http.client
import os
import re
import time
import urllib.error
import urllib.request
from pathlib import Path

from tqdm import tqdm

from .errors import CheckpointError

_RETRY = (408, 429, 500, 502, 503, 504)


class _Interrupted(Exception):
    """A download stopped in a way that is worth another try."""


def pull_all(
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
    failures, most, validator = 0, size_of(partial), None
    while True:
        try:
            return _pull(url, partial, validator, timeout)
        except _Interrupted as interruption:
            reason, validator = interruption.args
        failures = 0 if size_of(partial) > most else failures + 1
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
    url: str, partial: Path, validator: str | None, timeout: float
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
        with tqdm(
            desc=partial.stem,
            total=total,
            initial=have if append else 0,
            unit='B',
            unit_scale=True,
            disable=None,  # where no one looks
        ) as progress:
            _append(reply, partial, append, validator, progress)
    if total is not None and size_of(partial) != total:
        raise _Interrupted(f'{total:,} bytes promised', validator)
    return total


def _append(
    reply, partial: Path, append: bool, validator: str | None, progress: tqdm
) -> None:
    try:
        file = open(partial, 'ab' if append else 'wb')  # noqa: SIM115
    except OSError as error:
        raise cannot_write(partial, error) from error
    with file:
        while True:
            try:
                block = reply.read(1 << 16)
            except (OSError, http.client.HTTPException) as error:
                file.flush()
                raise _Interrupted(str(error), validator) from error
            if not block:
                break
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
