"""Downloads from a server that cuts, lies, redirects, drips and never ends."""

import hashlib
import http.server
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from unittest import mock

from mmps.checkpoints import CheckpointError, fetch

from .damage import quiet
from .trial import Trial

#: Seconds after which one that stalls is given up, and of any download.
_TIMEOUT, _LONGEST = 0.6, 60.0


def attack(trial: Trial) -> str:
    """Each case is a server, and one or two who want its file."""
    secret = trial.folder / 'secret.pth'
    secret.write_bytes(b'a file of this computer')
    counts = Counter()
    kinds = list(_KINDS)
    server = _Server(secret)
    try:
        # disks may take seconds for it
        with quiet(), mock.patch.object(os, 'fsync'):
            for number, rng in trial.each():
                kind = kinds[number % len(kinds)]
                case = _Case(rng, trial.folder / str(number), server)
                with trial.attempt(number):
                    begun = time.monotonic()
                    _KINDS[kind](case)
                    seconds = time.monotonic() - begun
                    assert seconds < _LONGEST, f'{kind}: {seconds:.1f} s'
                    case.check_cache()
                counts.update(case.counts)
    finally:
        server.close()
    if trial.done >= 200:
        with trial.attempt(trial.done):
            for each in ('got', 'refused', 'resumed', 'bytes not sent twice'):
                assert counts[each] > 5, f'{each}: {counts[each]}'
    return (
        f'0 wrong files in a cache; {counts["got"]:,} right files, '
        f'{counts["refused"]:,} clear errors, {counts["resumed"]:,} times '
        f'gone on by Range, which saved {counts["bytes not sent twice"]:,} '
        'bytes'
    )


class _Case:
    """A file on a server, and a cache of its own.

    Attributes:
        counts: What has happened.
    """

    def __init__(self, rng: random.Random, cache: Path, server) -> None:
        self.rng, self.cache, self.server = rng, cache, server
        self.counts = Counter()
        self.content = rng.randbytes(rng.randint(2000, 200_000))
        self.digest = hashlib.sha256(self.content).hexdigest()
        self.known = rng.random() < 0.7
        name = f'-{self.digest[:8]}' if self.known else ''
        self.name = f'weights{name}.pth'
        self.etag = rng.choice((None, '"1"')) if self.known else '"1"'
        server.begin(self)

    def cuts(self) -> list[int]:
        """Places in the file, growing."""
        return sorted(
            self.rng.randrange(len(self.content))
            for _ in range(self.rng.randint(1, 20))
        )

    def get(self, path: str | None = None, **options) -> Path:
        """Ask for the file; what comes must be right."""
        found = fetch(
            f'{self.server.url}/{path or self.name}',
            folder=self.cache,
            pause=0.001,
            **options,
        )
        assert found.read_bytes() == self.content, 'a wrong file'
        self.counts['got'] += 1
        return found

    def refused(self, path: str | None = None, **options) -> None:
        """Ask for the file; an error must come that names the address."""
        try:
            self.get(path, **options)
        except CheckpointError as error:
            text = str(error)
            self.counts['refused'] += 1
        else:
            raise AssertionError('this should have been refused')
        assert self.server.url in text, text
        assert len(text) < 1000, text

    def note_ranges(self) -> None:
        """What was asked for a second time must be what was missing."""
        for _, start in self.server.asked:
            if start:
                self.counts['resumed'] += 1
                self.counts['bytes not sent twice'] += start

    def check_cache(self) -> None:
        """No other bytes under the name of the file."""
        for path in self.cache.rglob('*'):
            if path.is_file() and path.suffix not in ('.lock', '.partial'):
                assert path.read_bytes() == self.content, f'{path} is wrong'


def _cut(case: _Case) -> None:
    """The connection ends at some places; each try goes on at the last."""
    cuts = case.cuts()
    case.server.plan = [dict(until=cut) for cut in cuts]
    case.get()
    asked = [start for _, start in case.server.asked]
    expected = [0, *cuts] if case.known or case.etag else [0] * len(asked)
    assert asked == expected[: len(asked)], f'asked from {asked}, cut {cuts}'
    assert sum(case.server.sent) == len(case.content)
    case.note_ranges()


def _cut_and_asked_again(case: _Case) -> None:
    """Every try of a call ends early; a later call goes on."""
    (cut,) = case.cuts()[:1]
    case.server.plan = [dict(until=cut)] * 8
    case.refused()
    case.server.plan = []
    assert not any(p.suffix == '.pth' for p in case.cache.rglob('*'))
    del case.server.asked[:]
    case.get()
    ((_, start),) = case.server.asked
    assert start == (cut if case.known else 0)
    case.note_ranges()


def _wrong_length(case: _Case) -> None:
    """More is promised than comes, or less."""
    length = case.rng.choice((0, 1, len(case.content) // 2))
    length += len(case.content) * case.rng.randrange(2)
    if length == len(case.content):
        length += 1
    case.server.plan = [dict(length=length)] * 40
    case.server.ranges = False
    if length > len(case.content) or case.known:
        case.refused()
    else:  # nothing but the length says how long the file is
        case.content = case.content[:length]
        case.get()


def _wrong_bytes(case: _Case) -> None:
    """A flipped bit, another file, or none."""
    damaged = bytearray(case.content)
    damaged[case.rng.randrange(len(damaged))] ^= 1 << case.rng.randrange(8)
    other = case.rng.choice((bytes(damaged), b'', case.content[::-1]))
    case.server.plan = [dict(body=other)] * 40
    digest = case.digest if case.rng.random() < 0.5 else case.digest[:8]
    case.refused(sha256=digest)
    case.server.plan = []
    case.get(sha256=digest)


def _changed_between(case: _Case) -> None:
    """The file on the server is another one after the cut."""
    old = case.rng.randbytes(len(case.content))
    (cut,) = case.cuts()[:1]
    case.server.plan = [dict(body=old, until=cut, etag='"old"')]
    case.etag = '"new"'
    case.get()
    assert [start for _, start in case.server.asked] == [0, cut]


def _redirected(case: _Case) -> None:
    """To the file, round in circles, or to a file of this computer."""
    secret = case.server.secret
    target = case.rng.choice(
        (
            *(f'/{case.name}', f'{case.server.url}/{case.name}'),
            *(secret.as_uri(), f'file://{secret}', f'file:{secret}'),
            *('/again', 'data:text/plain,hello', 'ftp://127.0.0.1:1/x.pth'),
            *(f'local_file://{secret}', 'gopher://127.0.0.1', 'http://[x'),
        )
    )
    case.server.target = target
    if target.endswith(case.name):
        case.get('again', sha256=case.digest)
    else:
        case.refused('again', tries=1)


def _drips(case: _Case) -> None:
    """Bytes come, but too slowly to ever be done with."""
    case.server.plan = [dict(drip=0.05)] * 40
    case.refused(tries=1, timeout=_TIMEOUT)


def _silent(case: _Case) -> None:
    """The server takes the connection and says nothing any more."""
    case.server.plan = [dict(until=case.cuts()[0], wait=True)] * 40
    case.refused(tries=1, timeout=_TIMEOUT)


def _endless(case: _Case) -> None:
    """No length, and bytes for ever."""
    case.server.plan = [dict(endless=True)] * 40
    size = len(case.content)
    case.refused(size=size, tries=1)
    kept = sum(p.stat().st_size for p in case.cache.rglob('*.partial'))
    assert kept <= size, f'{kept} of {size} bytes are kept'


def _no_file(case: _Case) -> None:
    """A page or an error in its place."""
    status = case.rng.choice((200, 403, 404, 410, 500, 503))
    page = b'<!doctype html><title>no</title>'
    case.server.plan = [dict(status=status, body=page, kind='text/html')] * 40
    case.refused(tries=2)


def _two_at_once(case: _Case) -> None:
    """Two processes want a file, connections are cut; one brings it."""
    case.server.plan = [dict(until=cut) for cut in case.cuts()[:3]]
    child = os.fork()
    if not child:
        try:
            case.get(sha256=case.digest)
        except BaseException:
            os._exit(1)
        os._exit(0)
    try:
        case.get(sha256=case.digest)
    finally:
        _, status = os.waitpid(child, 0)
    assert status == 0, 'the other has no file'
    assert sum(case.server.sent) == len(case.content), (
        f'{len(case.content)} bytes, sent {case.server.sent} from '
        f'{case.server.asked}'
    )
    case.note_ranges()


_KINDS: dict[str, Callable[[_Case], None]] = {
    'cut': _cut,
    'cut, asked again': _cut_and_asked_again,
    'wrong length': _wrong_length,
    'wrong bytes': _wrong_bytes,
    'changed between': _changed_between,
    'redirected': _redirected,
    'drips': _drips,
    'silent': _silent,
    'endless': _endless,
    'no file': _no_file,
    'two at once': _two_at_once,
}


class _Server:
    """One for all cases; each says what becomes of its requests.

    Attributes:
        plan: What is done with each request, in their order; then all is
            well.
        asked: Path, and first byte that was asked for, of each request.
        sent: Bytes of each body.
        target: Where '/again' leads.
        ranges: Whether parts are given.
    """

    def __init__(self, secret: Path) -> None:
        self.secret = secret
        self._case: _Case
        self._server = http.server.ThreadingHTTPServer(
            ('127.0.0.1', 0), _handler(self)
        )
        self.url = f'http://127.0.0.1:{self._server.server_port}'
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,)
        )
        self._thread.start()

    def begin(self, case: _Case) -> None:
        """Serve the file of a case, and forget the one before."""
        self._case = case
        self.plan, self.asked, self.sent = [], [], []
        self.target, self.ranges = '', True

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        """Of one request."""
        case, sent = self._case, self.sent  # may be another's when it ends
        asked = handler.headers.get('Range', 'bytes=0-')
        start = int(asked.removeprefix('bytes=').removesuffix('-'))
        if handler.path == '/again':
            handler.send_response(302)
            handler.send_header('Location', self.target)
            handler.end_headers()
            return
        if handler.path != f'/{case.name}':
            handler.send_error(404)
            return
        self.asked.append((handler.path, start))
        rule = self.plan.pop(0) if self.plan else {}
        body = rule.get('body', case.content)
        etag = rule.get('etag', case.etag)
        if handler.headers.get('If-Range') not in (None, etag):
            start = 0
        if not self.ranges:
            start = 0
        status = rule.get('status', 206 if start else 200)
        handler.send_response(status, HTTPStatus(status).phrase)
        if status == 206:
            handler.send_header(
                'Content-Range', f'bytes {start}-{len(body) - 1}/{len(body)}'
            )
        if etag:
            handler.send_header('ETag', etag)
        if not rule.get('endless'):
            length = rule.get('length', len(body) - start)
            handler.send_header('Content-Length', str(length))
        kind = rule.get('kind', 'application/octet-stream')
        handler.send_header('Content-Type', kind)
        handler.end_headers()
        part = body[start : rule.get('until')]
        sent.append(len(part))
        with suppress(OSError):
            if rule.get('drip'):
                for place in range(40):
                    handler.wfile.write(part[place : place + 1])
                    time.sleep(rule['drip'])
                return
            handler.wfile.write(part)
            while rule.get('endless'):
                handler.wfile.write(body)
            if rule.get('wait'):
                time.sleep(2 * _TIMEOUT)


def _handler(server: _Server) -> type:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.answer(self)

        def log_message(self, *args) -> None:
            pass

    return Handler
