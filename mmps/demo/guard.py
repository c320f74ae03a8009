"""Who may talk to the page: a browser that shows it, and local programs.

A browser lets any page on the web send requests to this computer. It says
where they come from (``Origin``, ``Sec-Fetch-Site``); programs such as
``gradio_client`` say nothing.
"""

import asyncio
import contextlib
import os
from pathlib import Path

#: Bytes of all uploads that are there at a time, and of any other request.
QUOTA, SMALL = 4 << 30, 16 << 20
#: Seconds for which the body of a refused request is still taken.
PATIENCE = 2.0


class Guard:
    """ASGI middleware: refuses requests of other pages, and too many bytes.

    What may be uploaded is what is left of ``QUOTA`` beside the files in the
    folder of uploads and those on their way; the page deletes files after an
    hour. No answer carries a CORS header: another origin, also another port
    of this computer, may read nothing.

    Args:
        app: What answers the rest.
    """

    def __init__(self, app) -> None:
        self.app = app
        self._on_their_way = 0

    async def __call__(self, scope, receive, send) -> None:
        """Answer a request, or have it answered."""
        if scope['type'] == 'lifespan':
            await self.app(scope, receive, send)
            return
        headers = dict(scope['headers'])
        if is_foreign(headers, scope):
            await _refuse(
                scope,
                receive,
                send,
                403,
                'this page answers to itself, no other site',
            )
            return
        if fetches(scope['path']):
            await _refuse(
                scope, receive, send, 403, 'this page fetches nothing'
            )
            return
        if scope['type'] == 'websocket' or scope['method'] in ('GET', 'HEAD'):
            await self.app(scope, receive, _without_cors(send))
            return
        size = headers.get(b'content-length', b'')
        if not size.isdigit():
            if b'transfer-encoding' in headers:
                await _refuse(
                    scope, receive, send, 411, 'say how long the request is'
                )
                return
            size = b'0'
        size = int(size)
        upload = scope['path'].endswith('/upload')
        left = QUOTA - _stored() - self._on_their_way if upload else SMALL
        if size > left:
            await _refuse(
                scope,
                receive,
                send,
                413,
                f'{size:,} bytes are too many, {max(left, 0):,} fit: '
                'uploads are deleted an hour after their last use, or when '
                '`mmps demo` ends',
            )
            return
        self._on_their_way += size
        try:
            await self.app(scope, receive, _without_cors(send))
        finally:
            self._on_their_way -= size


def without_cors(app) -> None:
    """Take out what Gradio puts around an app, outside of ``Guard``.

    Args:
        app: Of a page that was launched.
    """
    app.user_middleware = [
        middleware
        for middleware in app.user_middleware
        if 'CORS' not in middleware.cls.__name__
    ]
    app.middleware_stack = None  # built anew for the next request


def is_foreign(headers: dict[bytes, bytes], scope: dict) -> bool:
    """Whether another page sends a request; a link to this one may be."""
    host = headers.get(b'host', b'')
    origin = headers.get(b'origin')
    if origin is not None and origin != b'http://' + host:
        return True
    site = headers.get(b'sec-fetch-site', b'none')
    if site in (b'none', b'same-origin'):
        return False
    followed = headers.get(b'sec-fetch-mode') == b'navigate'
    return not followed or scope.get('method') != 'GET'


def fetches(path: str) -> bool:
    """Whether Gradio would answer with what it fetches from elsewhere."""
    return '/proxy=' in path or '/file=http' in path.lower()


def _stored() -> int:
    """Bytes in the folder of uploads."""
    total = 0
    for path in Path(os.environ['GRADIO_TEMP_DIR']).rglob('*'):
        try:
            if path.is_file():
                total += path.stat().st_size
        except FileNotFoundError:  # deleted meanwhile
            continue
    return total


def _without_cors(send):
    async def send_less(message) -> None:
        if message['type'] == 'http.response.start':
            message['headers'] = [
                (name, value)
                for name, value in message.get('headers', [])
                if not name.lower().startswith(b'access-control-')
            ]
        await send(message)

    return send_less


async def _refuse(scope, receive, send, status: int, reason: str) -> None:
    """Answer with the reason, and only then close the connection.

    A socket that is closed while bytes arrive is reset, and the sender may
    lose the answer with it: what is on its way is taken first, within bounds.
    """
    if scope['type'] == 'websocket':
        await send({'type': 'websocket.close', 'code': 1008})
        return
    body = reason.encode()
    await send(
        {
            'type': 'http.response.start',
            'status': status,
            'headers': [
                (b'content-type', b'text/plain; charset=utf-8'),
                (b'content-length', str(len(body)).encode()),
                (b'connection', b'close'),  # the rest is not read
            ],
        }
    )
    await send({'type': 'http.response.body', 'body': body, 'more_body': True})
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(_take(receive), PATIENCE)
    await send({'type': 'http.response.body'})


async def _take(receive) -> None:
    """Read a request's body and drop it, up to the size of a small one."""
    taken, more = 0, True
    while more and taken < SMALL:
        message = await receive()
        taken += len(message.get('body', b''))
        more = message.get('more_body', False)
