"""Importing mmps first lets every test import mmdet."""

import mmps  # noqa: F401
