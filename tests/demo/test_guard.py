import http.client
import json
import socket
import time
from types import SimpleNamespace

import pytest

from mmps.demo import guard
from mmps.demo.guard import is_foreign

from .pages import served

FILE = (
    b'--x\r\nContent-Disposition: form-data; name="files"; '
    b'filename="a.txt"\r\n\r\nhello\r\n--x--\r\n'
)
FORM = {'Content-Type': 'multipart/form-data; boundary=x'}
UPLOAD = '/gradio_api/upload'
# Gradio runs in threads of this process, and its warnings are not ours
pytestmark = pytest.mark.filterwarnings('ignore')


@pytest.fixture(scope='module')
def page(request):
    """One server for all tests of this file; it has no network."""
    actions = SimpleNamespace(
        searcher=SimpleNamespace(
            inferencer=SimpleNamespace(query_guided=False)
        ),
        examples=request.getfixturevalue('examples'),
    )
    with served(actions) as page:
        yield page


def ask(page, method, path, body=None, **headers):
    port = page.server_port
    connection = http.client.HTTPConnection('127.0.0.1', port, timeout=60)
    try:
        headers = {k.replace('_', '-'): v for k, v in headers.items()}
        headers = {**(FORM if body else {}), **headers}
        connection.request(method, path, body, headers)
        reply = connection.getresponse()
        return reply.status, dict(reply.getheaders()), reply.read()
    finally:
        connection.close()


@pytest.mark.parametrize(
    'headers',
    [
        {'Origin': 'http://evil.example'},
        {'Origin': 'null'},
        {'Origin': 'http://127.0.0.1:1'},
        {'Sec_Fetch_Site': 'cross-site', 'Sec_Fetch_Mode': 'no-cors'},
        {'Sec_Fetch_Site': 'same-site', 'Sec_Fetch_Mode': 'cors'},
        {'Sec_Fetch_Site': 'cross-site', 'Sec_Fetch_Mode': 'navigate'},
    ],
)
def test_another_site_can_send_nothing(headers, page):
    status, answered, text = ask(page, 'POST', UPLOAD, FILE, **headers)
    assert (status, b'no other site' in text) == (403, True)
    assert not any(n.lower().startswith('access-control') for n in answered)


@pytest.mark.parametrize('own', [True, False])
def test_the_page_and_programs_can(own, page):
    origin = {'Origin': f'http://127.0.0.1:{page.server_port}'} if own else {}
    status, answered, text = ask(page, 'POST', UPLOAD, FILE, **origin)
    assert status == 200
    assert json.loads(text)[0].endswith('a.txt')
    assert not any(n.lower().startswith('access-control') for n in answered)


def test_other_ports_of_this_computer_may_read_nothing(page):
    origin = {'Origin': 'http://localhost:3000'}
    asked = {'Access_Control_Request_Method': 'POST'}
    for method, more in (('OPTIONS', asked), ('GET', {})):
        status, answered, _ = ask(page, method, '/config', **origin, **more)
        assert status == 403
        names = {name.lower() for name in answered}
        assert 'access-control-allow-origin' not in names


def test_a_link_may_lead_to_the_page(page):
    link = {'Sec_Fetch_Site': 'cross-site', 'Sec_Fetch_Mode': 'navigate'}
    assert ask(page, 'GET', '/', **link)[0] == 200
    assert ask(page, 'GET', '/', Host='evil.example')[0] == 400


@pytest.mark.parametrize(
    'path',
    [
        '/gradio_api/file=http://example.org/a.png',
        '/gradio_api/file=HTTPS%3A%2F%2Fexample.org/a.png',
        '/gradio_api/proxy=https://example.hf.space/a.png',
    ],
)
@pytest.mark.parametrize('method', ['GET', 'POST'])
def test_nothing_is_fetched_from_elsewhere(method, path, page):
    status, _, text = ask(page, method, path)
    assert (status, b'fetches nothing' in text) == (403, True)


def test_uploads_have_a_quota_together(page, monkeypatch):
    stored = guard._stored()
    monkeypatch.setattr(guard, 'QUOTA', stored + 2 * len(FILE))
    other = FILE.replace(b'hello', b'HELLO')
    assert ask(page, 'POST', UPLOAD, other)[0] == 200
    grown = guard._stored() - stored
    assert grown == len('HELLO')
    monkeypatch.setattr(guard, 'QUOTA', stored + grown + len(FILE) - 1)
    status, _, text = ask(page, 'POST', UPLOAD, FILE)
    assert (status, b'bytes are too many' in text) == (413, True)
    assert guard._stored() == stored + grown


def test_other_requests_are_small(page):
    status, *_ = ask(
        page, 'POST', '/gradio_api/queue/join', Content_Length=str(17 << 20)
    )
    assert status == 413
    # an iterator is sent in chunks, without a length
    assert ask(page, 'POST', UPLOAD, iter([FILE]))[0] == 411


def test_a_slow_sender_still_reads_the_answer(page, monkeypatch):
    monkeypatch.setattr(guard, 'PATIENCE', 60)  # on a loaded machine, too
    head = (
        f'POST {UPLOAD} HTTP/1.1\r\nHost: 127.0.0.1\r\n'
        'Origin: http://evil.example\r\nContent-Length: 200000\r\n\r\n'
    )
    address = '127.0.0.1', page.server_port
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(head.encode())
        for _ in range(2):  # a closed connection would fail at the second
            time.sleep(0.2)
            connection.sendall(bytes(100000))
        answer = connection.makefile('rb').read()
    assert answer.startswith(b'HTTP/1.1 403')
    assert b'no other site' in answer


def test_nobody_holds_a_refused_connection(page, monkeypatch):
    monkeypatch.setattr(guard, 'PATIENCE', 0.2)
    begun = time.monotonic()
    status, *_ = ask(
        page, 'POST', UPLOAD, Origin='null', Content_Length='1000'
    )
    assert status == 403
    address = '127.0.0.1', page.server_port
    head = (
        'POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: null\r\n'
        'Content-Length: 1000\r\n\r\n'
    )
    with socket.create_connection(address, timeout=60) as connection:
        connection.sendall(head.encode())
        answer = connection.makefile('rb').read()  # to its end
    assert answer.startswith(b'HTTP/1.1 403')
    assert time.monotonic() - begun < 10


def test_who_is_foreign():
    host = (b'host', b'localhost:7860')
    get = {'method': 'GET', 'type': 'http'}
    assert not is_foreign(dict([host]), get)
    assert not is_foreign(
        dict([host, (b'origin', b'http://localhost:7860')]), get
    )
    for origin in (b'https://localhost:7860', b'http://localhost'):
        assert is_foreign(dict([host, (b'origin', origin)]), get)
    assert is_foreign({b'origin': b'http://localhost:7860'}, get)
