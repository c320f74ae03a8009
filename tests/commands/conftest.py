"""The small network of tests/inference, and its data."""

from tests.inference.conftest import data, oim

__all__ = ['data', 'oim']
