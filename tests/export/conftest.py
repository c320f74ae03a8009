"""The small network of tests/inference, and its pictures."""

from tests.inference.conftest import data, files, oim, plain, qeeps, video

__all__ = ['data', 'files', 'oim', 'plain', 'qeeps', 'video']
