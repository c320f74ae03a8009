"""A web server on 127.0.0.1 that misbehaves on request."""

import threading
import time
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def serve(files, **behaviour):
    """Serve {path: bytes}; yields a server with ``url`` and ``requests``.

    Behaviour:
        cuts: Bytes of the body after which answer i is cut off.
        length: Content-Length to claim instead of the true one; '' for none.
        status: Status of each answer, or a list of those of the first ones.
        ranges: Whether Range is understood; 'from 0' to send all instead.
        bodies: What the first answers send instead of the file.
        kind: Content-Type.
        target: Where /redirect leads, instead of to the first file.
        drip: Seconds before each byte of the body.
        endless: Repeat the body until the other side has enough.
        etag: ETag, or a list of those of the first answers.
    """
    server = ThreadingHTTPServer(('127.0.0.1', 0), _Handler)
    server.files, server.behaviour, server.requests = files, behaviour, []
    server.url = f'http://127.0.0.1:{server.server_port}'
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, asked = self.server, self.headers.get('Range')
        number = len(server.requests)
        server.requests.append((self.path, asked))
        behaviour = dict(server.behaviour)
        for name, value in list(behaviour.items()):
            if isinstance(value, list):
                default = value.pop(0) if name != 'cuts' and value else None
                behaviour[name] = value if name == 'cuts' else default
        status = behaviour.get('status')
        if status and status != 200:
            self.send_error(status)
            return
        if self.path == '/redirect':
            self.send_response(302)
            target = behaviour.get('target', '/' + next(iter(server.files)))
            self.send_header('Location', target)
            self.end_headers()
            return
        body = behaviour.get('bodies') or server.files.get(self.path[1:])
        if body is None:
            self.send_error(404)
            return
        self.answer(body, asked, behaviour, number)

    def answer(self, body, asked, behaviour, number):
        start, total = 0, len(body)
        etag = behaviour.get('etag')
        same = self.headers.get('If-Range') in (None, etag)
        if asked and behaviour.get('ranges', True) and same:
            start = int(asked.removeprefix('bytes=').rstrip('-'))
            if behaviour.get('ranges') == 'from 0':
                start = 0
            if start >= total:
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header(
                'Content-Range', f'bytes {start}-{total - 1}/{total}'
            )
        else:
            self.send_response(200)
        body = body[start:]
        length = behaviour.get('length', len(body))
        if length != '':
            self.send_header('Content-Length', str(length))
        if etag:
            self.send_header('ETag', etag)
        kind = behaviour.get('kind', 'application/octet-stream')
        self.send_header('Content-Type', kind)
        self.end_headers()
        with suppress(ConnectionError):
            for index in range(len(body)) if behaviour.get('drip') else ():
                self.wfile.write(body[index : index + 1])
                time.sleep(behaviour['drip'])
            while behaviour.get('endless'):
                self.wfile.write(body)
        if behaviour.get('drip'):
            return
        cuts = behaviour.get('cuts', [])
        self.wfile.write(body[: cuts[number]] if number < len(cuts) else body)

    def log_message(self, *args):
        pass
