"""Odd requests to the page of `mmps demo`, which must go on serving.

No network runs: the page sees nobody in any picture.
"""

import http.client
import json
import logging
import os
import random
import secrets
import socket
import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import chdir, contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import numpy as np

from mmps.demo.actions import DRAWN, Actions
from mmps.demo.examples import Example, Examples
from mmps.demo.searcher import Searcher
from mmps.inference.onnx_network import OnnxNetwork
from mmps.visualization.canvas import save
from tests.demo.pages import served

from .broken_text import broken_tree, broken_words
from .trial import Trial

#: Seconds after which an answer that has not ended counts as it is.
PATIENCE = 2.0
#: So many files may be open after all, more than before.
OPEN = 8
_API = '/gradio_api'
_NAMES = (
    *('a.png', '', '../../evil.txt', '/tmp/evil.txt', '..', 'a\0.png', '.'),
    *('x' * 300 + '.png', 'é\u202e.png', 'a/b/c.png', 'a\\..\\b', 'con', '~'),
    *('a.html', '%2e%2e%2fevil.txt', "';$(touch evil)", 'a"b\r\nX-A: b'),
)


@dataclass(frozen=True)
class Ask:
    """A request as it is sent.

    Attributes:
        data: All of its bytes.
        fate: 403, 413, ... if that must be the status; None for any.
        way: 'whole', 'closed' (the sender says that this was all, for which
            the page may leave without an answer) or 'reset'.
    """

    data: bytes
    fate: int | None = None
    way: str = 'whole'


@dataclass(frozen=True)
class Place:
    """What is served and what must not be.

    Attributes:
        port: Of the page.
        secret: Stands in files that are not the page's, and nowhere else.
        outside: Paths of such files, links to them among them.
        uploads: Folder of the page's files.
        picture: Content of a good picture.
    """

    port: int
    secret: str
    outside: tuple[str, ...]
    uploads: Path
    picture: bytes


def attack(trial: Trial) -> str:
    """See the module."""
    seen: Counter = Counter()
    with _page(trial.folder) as place:
        for _ in range(5):
            _check_serves(place)
        before, lying = _open_files(), _files(trial.folder)
        for number, rng in trial.each():
            with trial.attempt(number):
                ask = _ask(place, rng)
                status, answer = _sent(place, ask)
                seen[status // 100] += 1
                assert place.secret.encode() not in answer, ask.data[:200]
                assert ask.fate in (None, status), f'{status}: {ask.data[:99]}'
                assert _files(trial.folder) == lying, 'a file was written'
                _check_serves(place)
        more = _open_files() - before
        if trial.only is None and trial.done >= 100:
            assert min(seen[2], seen[4]) > 10, seen
            assert more <= OPEN, f'{more} files more are open'
    return (
        f'{seen[2]} answered, {seen[3] + seen[4]} refused, {seen[5]} errors '
        f'of the server, {seen[0]} without an answer; a good request was '
        f'answered after each; {more} open files more than before'
    )


@contextmanager
def _page(folder: Path) -> Iterator[Place]:
    """Serve a page whose files lie beside some that are not the page's."""
    secret = secrets.token_hex(20)
    own = folder / 'own'
    own.mkdir()
    (own / 'secret.txt').write_text(secret)
    (own / 'link.txt').symlink_to(own / 'secret.txt')
    rng = np.random.default_rng(0)
    paths = []
    for number in range(3):
        noise = rng.integers(0, 256, (60, 80, 3)).astype(np.uint8)
        paths.append(str(folder / f'{number}.png'))
        save(noise, paths[-1])
    examples = Examples([Example(paths[0], (5, 5, 40, 50))], paths[1:])
    os.environ['SECRET'] = secret
    logging.disable(logging.CRITICAL)
    try:
        with (
            open(os.devnull, 'w') as nowhere,
            redirect_stderr(nowhere),
            chdir(own),
            served(Actions(Searcher(_Nobody()), examples)) as page,
        ):
            uploads = Path(os.environ['GRADIO_TEMP_DIR'])
            beside = uploads.parent / 'scenes/secret.txt'
            beside.write_text(secret)
            yield Place(
                page.server_port,
                secret,
                (
                    *map(str, own.iterdir()),
                    *(str(beside), f'{uploads}/../scenes/secret.txt'),
                    *(f'{uploads}/x/../../scenes/secret.txt', 'secret.txt'),
                    *('/proc/self/environ', '/proc/self/cwd/secret.txt'),
                ),
                uploads,
                Path(paths[0]).read_bytes(),
            )
    finally:
        logging.disable(logging.NOTSET)
        del os.environ['SECRET']


class _Nobody:
    """Stands in for an inferencer that finds nobody anywhere."""

    query_guided = False
    network = OnnxNetwork.__new__(OnnxNetwork)  # reading needs no graph

    def index(self, gallery, **options) -> SimpleNamespace:
        boxes = SimpleNamespace(bboxes=np.zeros((0, 4), np.float32))
        return SimpleNamespace(boxes=boxes)


def _ask(place: Place, rng: random.Random) -> Ask:
    """One of many odd requests."""
    makers = _path, _foreign, _lengths, _upload, _broken_json, _data, _garbage
    return rng.choice(makers)(place, rng)


def _request(
    method: str, path: str, body: bytes = b'', port: int = 80, **headers: str
) -> bytes:
    lines = [f'{method} {path} HTTP/1.1']
    known = {'Host': f'127.0.0.1:{port}', 'Connection': 'close'}
    if body or method == 'POST':
        known['Content-Length'] = str(len(body))
    known.update({k.replace('_', '-'): v for k, v in headers.items()})
    lines += [f'{k}: {v}' for k, v in known.items()]
    head = '\r\n'.join(lines) + '\r\n\r\n'
    return head.encode('latin-1', 'replace') + body


def _path(place: Place, rng: random.Random) -> Ask:
    """A path to a file that is not the page's."""
    path = rng.choice(place.outside)
    start = rng.choice(('', '', '/..' * 9, f'{place.uploads}/' + '../' * 9))
    path = start + path
    path = rng.choice(
        (
            str,
            lambda p: quote(p, safe=''),
            lambda p: quote(quote(p, safe=''), safe=''),
            lambda p: p.replace('.', '%2e'),
            lambda p: p.replace('/', '\\'),
            lambda p: p.replace('/', '//'),
            lambda p: p + '%00.png',
            lambda p: 'file://' + p,
            lambda p: f'http://127.0.0.1:{place.port}/{p}',
            lambda p: p + '?x=../..#y',
            lambda p: './' + p,
        )
    )(path).replace(' ', '%20')
    route = rng.choice(
        (
            *(f'{_API}/file=', f'{_API}/file=', f'{_API}/file/', '/file='),
            *('/static/', '/assets/', '/svelte/', f'{_API}/proxy=', '/'),
            f'{_API}/custom_component/x/component/style/',
            f'{_API}/stream/x/y/1/',
        )
    )
    method = rng.choice(('GET', 'GET', 'GET', 'HEAD', 'POST', 'DELETE'))
    return Ask(_request(method, f'{route}{path}', port=place.port))


def _foreign(place: Place, rng: random.Random) -> Ask:
    """Of another site, or to another name of this computer."""
    path = rng.choice((f'{_API}/upload', f'{_API}/queue/join', '/config', '/'))
    method = rng.choice(('POST', 'GET', 'PUT', 'OPTIONS'))
    origin = rng.choice(
        (
            *('null', 'http://evil.example', 'http://localhost:1', 'file://'),
            f'https://127.0.0.1:{place.port}',
            f'http://127.0.0.1:{place.port}.evil.example',
            f'http://127.0.0.1:{place.port}, http://evil.example',
        )
    )
    if rng.random() < 0.3:
        host = rng.choice(
            ('evil.example', '127.0.0.1.evil.example', '0.0.0.0')
        )
        data = _request(method, path, port=place.port, Host=host)
        return Ask(data, 400)
    data = _request(method, path, b'{}', place.port, Origin=origin)
    return Ask(data, 403)


def _form(
    name: str, content: bytes, rng: random.Random
) -> tuple[bytes, dict[str, str]]:
    """The body of an upload, and its header."""
    field = rng.choice(('files', 'files', 'files', 'x', ''))
    body = (
        f'--x\r\nContent-Disposition: form-data; name="{field}"; '
        f'filename="{name}"\r\nContent-Type: image/png\r\n\r\n'
    ).encode('utf-8', 'replace') + content
    boundary = rng.choice(('x', 'x', 'x', 'y', '', 'x' * 500))
    return body + b'\r\n--x--\r\n', {
        'Content_Type': f'multipart/form-data; boundary={boundary}'
    }


def _upload(place: Place, rng: random.Random) -> Ask:
    """Odd names, forms that end too early."""
    body, headers = _form(rng.choice(_NAMES), place.picture, rng)
    if rng.random() < 0.5:
        body = body[: rng.randrange(len(body))]
    data = _request('POST', f'{_API}/upload', body, place.port, **headers)
    return Ask(data)


def _lengths(place: Place, rng: random.Random) -> Ask:
    """Lengths that are lies, and connections that break."""
    body, headers = _form('a.png', place.picture, rng)
    length = rng.choice(
        (
            *('0', '-1', 'x', '1e3', '+5', '', '9' * 30, str(1 << 62)),
            *(str(len(body) + n) for n in (-20, -1, 1, 1000, 1 << 33)),
        )
    )
    headers['Content_Length'] = length
    if rng.random() < 0.3:
        headers['Transfer_Encoding'] = rng.choice(('chunked', 'gzip', 'x'))
        if rng.random() < 0.7:
            del headers['Content_Length']
            body = f'{rng.choice(("5", "ffffffff", "x", "-1"))}\r\n'.encode()
    path = rng.choice((f'{_API}/upload', f'{_API}/queue/join'))
    data = _request('POST', path, body, place.port, **headers)
    if rng.random() < 0.5:
        data = data[: rng.randrange(len(data))]
    return Ask(data, way=rng.choice(('closed', 'closed', 'reset', 'whole')))


def _calls(path: str) -> list[tuple[str, dict]]:
    """Good calls of the page's functions, with a file at some path."""
    file = dict(path=path, meta={'_type': 'gradio.FileData'})
    search = [1, 2, 30, 40, DRAWN, '', [file], 4, -1, 1, False]
    return [
        ('call/upload', dict(data=[file, True])),
        ('call/first_example', dict(data=[True])),
        ('call/box', dict(data=[1, 2, 30, 40, True])),
        ('call/search', dict(data=search)),
        ('run/upload', dict(data=[file, True])),
        (
            'queue/join',
            dict(
                data=[file, True], fn_index=2, session_hash='a', event_data=0
            ),
        ),
        ('component_server', dict(component_id=1, fn_name='x', data=[path])),
        ('cancel', dict(session_hash='a', fn_index=1, event_id='x')),
        ('reset', dict(event_id='x')),
    ]


def _broken_json(place: Place, rng: random.Random) -> Ask:
    path, content = rng.choice(_calls(rng.choice(place.outside)))
    way = rng.random()
    if way < 0.6:
        body = json.dumps(broken_tree(content, rng)).encode()
    elif way < 0.8:
        body = broken_words(json.dumps(content), rng)
    else:
        body = rng.choice(
            (
                b'',
                b'{',
                b'[' * 100_000,
                b'\xff\xfe',
                b'null',
                rng.randbytes(99),
            )
        )
    data = _request(
        'POST',
        f'{_API}/{path}',
        body,
        place.port,
        Content_Type=rng.choice(('application/json', 'text/plain', 'x')),
    )
    return Ask(data)


def _data(place: Place, rng: random.Random) -> Ask:
    """Where results are asked for."""
    name = rng.choice(('upload', 'search', 'x', '..', ''))
    path = rng.choice(
        (
            f'{_API}/queue/data?session_hash={rng.choice("ax")}',
            f'{_API}/queue/data',
            f'{_API}/call/{name}/{rng.randbytes(8).hex()}',
            f'{_API}/upload_progress?upload_id=x',
            f'{_API}/heartbeat/x',
            f'{_API}/info?all_endpoints=x',
            *(f'{_API}/deep_link', '/monitoring', f'{_API}/runs', '/pwa_icon'),
        )
    )
    way = rng.choice(('whole', 'whole', 'closed', 'reset'))
    return Ask(_request('GET', path, port=place.port), way=way)


def _garbage(place: Place, rng: random.Random) -> Ask:
    """No request at all, or hardly one."""
    good = _request('GET', '/config', port=place.port)
    changed = bytearray(good)
    for _ in range(rng.randint(1, 9)):
        changed[rng.randrange(len(good))] = rng.randrange(256)
    data = rng.choice(
        (
            bytes(changed),
            good[: rng.randrange(len(good))],
            rng.randbytes(rng.randint(1, 2000)),
            b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + bytes(99),
            b'GET / HTTP/1.1\r\n' + b'X: ' + b'a' * 200_000 + b'\r\n\r\n',
            b'GET /' + b'a' * 100_000 + b' HTTP/1.1\r\n\r\n',
            b'GET / HTTP/9.9\r\n\r\n',
            _request(
                'GET',
                '/queue/join',
                port=place.port,
                Upgrade='websocket',
                Connection='Upgrade',
                Sec_WebSocket_Key='eA==',
            ),
            good * 20,
        )
    )
    ways = 'whole', 'closed', 'closed', 'reset'
    return Ask(data, way=rng.choice(ways))


def _sent(place: Place, ask: Ask) -> tuple[int, bytes]:
    """Status (0 for none) and all of an answer, or what came in time."""
    answer = b''
    address = '127.0.0.1', place.port
    with socket.create_connection(address, timeout=PATIENCE) as connection:
        try:
            connection.sendall(ask.data)
            if ask.way == 'reset':
                linger = struct.pack('ii', 1, 0)
                connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
                return 0, b''
            if ask.way == 'closed':
                connection.shutdown(socket.SHUT_WR)
            while more := connection.recv(1 << 16):
                answer += more
        except (ConnectionError, TimeoutError):
            pass
    status = answer.split(b' ', 2)[1:2]
    return int(status[0]) if status and status[0].isdigit() else 0, answer


def _check_serves(place: Place) -> None:
    """Upload a picture, and load it again."""
    body = (
        b'--x\r\nContent-Disposition: form-data; name="files"; '
        b'filename="a.png"\r\n\r\n' + place.picture + b'\r\n--x--\r\n'
    )
    headers = {'Content-Type': 'multipart/form-data; boundary=x'}
    connection = http.client.HTTPConnection(
        '127.0.0.1', place.port, timeout=60
    )
    try:
        connection.request('POST', f'{_API}/upload', body, headers)
        answer = connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        (path,) = json.loads(text)
        connection.request('GET', f'{_API}/file={quote(path)}')
        answer = connection.getresponse()
        assert answer.read() == place.picture
        assert place.uploads in Path(path).parents
    finally:
        connection.close()


def _files(folder: Path) -> set[Path]:
    return set(folder.rglob('*'))


def _open_files() -> int:
    return len(os.listdir('/proc/self/fd'))
