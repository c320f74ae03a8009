"""A page that is served, for the tests that need one."""

import gc
from contextlib import contextmanager

import pytest

from mmps.demo.serve import launch, private_folder, quiet_environment


@contextmanager
def served(actions):
    """Serve a page; its ``local_url`` is the address."""
    pytest.importorskip('gradio', reason="needs Gradio: 'mmps[demo]'")
    quiet_environment()
    with private_folder():
        from mmps.demo.page import make_page

        page = make_page(actions, 'tiny')
        try:
            assert launch(page) == page.local_url
            yield page
        finally:
            page.close()
    # Gradio closes no event loop: found later, that would fail another test
    del page
    gc.collect()
