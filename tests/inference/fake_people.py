"""A network that needs no network: who is in a picture, its name decides."""

import time
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from mmps.datasets.errors import DatasetError
from mmps.evaluation.features import Boxes
from mmps.inference import Source
from mmps.inference.scenes import Scene, is_video

DIMS, FRAMES = 16, 12


def people_of(source):
    """None to three people, the same ones in every folder of a test."""
    name = '/'.join(Path(source.image).parts[-2:])
    # with 15, images that the tests name have people, and one has none
    seed = zlib.crc32(f'15{name} {source.frame}'.encode())
    rng = np.random.default_rng(seed)
    num = int(rng.integers(4))
    corner = rng.uniform(0, 50, (num, 2))
    vectors = rng.normal(size=(num, DIMS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Boxes(
        np.hstack([corner, corner + 10]).astype(np.float32),
        rng.uniform(0.5, 1, num).astype(np.float32),
        vectors.astype(np.float32),
        np.array([0, num]),
    )


def sources_of(file, every=1):
    """An image, or the frames of a video, one a second."""
    if not is_video(file):
        return [Source(file)]
    return [Source(file, n, float(n)) for n in range(0, FRAMES, every)]


class FakePeople:
    """Stands in for ``PersonSearchInferencer`` when an archive is written."""

    det_thr = 0.5

    def __init__(self, delay=0.0, network='fake'):
        self.delay = delay
        self.network = SimpleNamespace(fingerprint=network)
        self.seen = []

    def stream(self, gallery, *, every, batch_size, skip_broken, progress):
        scenes = (
            Scene(source)
            for file in gallery
            for source in sources_of(file, every)
        )
        for source, _ in progress(scenes, 0):
            with open(source.image, 'rb') as file:
                if file.read(6) == b'broken':
                    skip_broken(DatasetError(source.image, 'is no image'))
                    continue
            time.sleep(self.delay)
            self.seen.append(source)
            yield source, people_of(source)
