"""One page on one or several runs (``tools/report.py``)."""
