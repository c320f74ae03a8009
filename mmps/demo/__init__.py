"""A page in the browser to try a search; started by demo/app.py.

Everything but ``page.py`` and ``serve.py`` works without Gradio.
"""
