"""Shows the page to this computer alone, and leaves nothing behind.

``guard.py`` keeps other pages of the browser away.

``quiet_environment`` comes before the first import of Gradio, which reads
some variables when it is imported; ``page.py`` imports it.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mmps.visualization.canvas import save

#: Names of this computer for itself. A page elsewhere that makes its own name
#: point here (DNS rebinding) sends that name, and is refused.
HERE = ('127.0.0.1', 'localhost')
#: What the browser may load for the page: nothing from elsewhere.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' "
    "blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' "
    "blob:; frame-ancestors 'none'; form-action 'self'"
)
#: Largest upload, one file; open pages whose picture is remembered.
LARGEST, SESSIONS = '1gb', 32


@contextmanager
def private_folder() -> Iterator[Path]:
    """A folder for all files of a run, readable by its owner alone.

    It is removed at the end, whatever ends the program but SIGKILL.
    """
    with TemporaryDirectory(prefix='mmps-demo-') as folder:
        scenes, uploads = Path(folder, 'scenes'), Path(folder, 'gradio')
        scenes.mkdir()
        uploads.mkdir()
        os.environ['GRADIO_TEMP_DIR'] = str(uploads)
        try:
            yield Path(folder)
        finally:
            del os.environ['GRADIO_TEMP_DIR']


def written(picture: np.ndarray) -> str:
    """Write a picture for the page; inside ``private_folder``.

    Gradio would name a file by its content, and write it again while somebody
    else loads it. What lies in its folder it deletes when it is old.

    Args:
        picture: (H, W, 3) uint8, red green blue.

    Returns:
        Path of a new JPEG file.
    """
    path = Path(os.environ['GRADIO_TEMP_DIR'], f'{uuid.uuid4().hex}.jpg')
    save(picture[:, :, ::-1], path)
    return str(path)


def quiet_environment() -> None:
    """Have Gradio and what it brings along call nobody."""
    os.environ.update(
        GRADIO_ANALYTICS_ENABLED='False',
        HF_HUB_DISABLE_TELEMETRY='1',
        HF_HUB_OFFLINE='1',
        DO_NOT_TRACK='1',
    )
    # Gradio asks itself whether it has started: not through a proxy
    for name in ('no_proxy', 'NO_PROXY'):
        known = filter(None, [os.environ.get(name)])
        os.environ[name] = ','.join([*known, *HERE])


def launch(page, port: int | None = None, *, show: bool = False) -> str:
    """Serve a page on 127.0.0.1, in a thread, until ``page.close()``.

    Args:
        page: Gradio page, as ``make_page`` builds it.
        port: None for the first free one from 7860 on.
        show: Open a browser.

    Returns:
        Address of the page.

    Raises:
        OSError: The port is taken.
    """
    import gradio as gr
    from starlette.middleware import Middleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from .guard import Guard, without_cors
    from .style import CSS

    app, url, _ = page.launch(
        server_name=HERE[0],
        server_port=port,
        share=False,
        inbrowser=show,
        prevent_thread_lock=True,
        quiet=True,
        max_file_size=LARGEST,
        footer_links=[],
        run_history=False,  # would keep pictures in the browser
        enable_monitoring=False,
        mcp_server=False,
        state_session_capacity=SESSIONS,
        ssr_mode=False,
        pwa=False,
        css=CSS,
        # Gradio's other fonts are Google's, fetched from there
        theme=gr.themes.Default(
            font=['system-ui', 'sans-serif'], font_mono=['monospace']
        ),
        app_kwargs=dict(
            middleware=[
                Middleware(TrustedHostMiddleware, allowed_hosts=list(HERE)),
                Middleware(_Policy),
                Middleware(Guard),
            ]
        ),
    )
    without_cors(app)
    return url


class _Policy:
    """Adds ``POLICY`` to every answer."""

    def __init__(self, app) -> None:
        self.app = app

    async def __call__(self, scope, receive, send) -> None:
        async def send_more(message) -> None:
            if message['type'] == 'http.response.start':
                message['headers'] = [
                    *message.get('headers', []),
                    (b'content-security-policy', POLICY.encode()),
                    (b'referrer-policy', b'no-referrer'),
                ]
            await send(message)

        await self.app(scope, receive, send_more)
