"""Exported networks and their originals in pictures of any size.

Narrow networks with random weights, each exported once: OIM and SeqNet in
both layouts, NAE. Every case is a picture of a random size, of coarse noise.
That there may be no proposal at all is a test (``tests/export``).
"""

import random
from collections import defaultdict
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
import torch

from mmps.apis import load_config
from mmps.evaluation.features import iou
from mmps.export import export_network
from mmps.export.check import Limits, difference
from mmps.inference.network import Network
from mmps.inference.onnx_network import OnnxNetwork
from mmps.inference.people import People
from mmps.inference.scenes import as_scene
from tests.distillation.networks import network
from tests.test_field_networks import CONFIG, ROOT

from .trial import Trial

#: Networks and layouts, in turn.
KINDS = (
    *(('oim', 'split'), ('oim', 'single'), ('nae', 'split')),
    *(('seqnet', 'split'), ('seqnet', 'single')),
)
LIMITS = Limits(box=1e-4, score=1e-5, embedding=1e-4, lost=0.0)
DET_THR = 0.05
#: Similarities that differ by less may change places.
TIE = 1e-5
#: Sides of pictures in pixels, before they are scaled to 320 x 240.
SMALLEST, LARGEST = 32, 640


def attack(trial: Trial) -> str:
    """Compare detections, embeddings and a ranking in each picture."""
    kinds = {kind: _Both(trial.folder, *kind) for kind in KINDS}
    sizes, largest = set(), defaultdict(float)
    for number, rng in trial.each():
        kind = kinds[KINDS[number % len(KINDS)]]
        with trial.attempt(number):
            picture = _picture(rng)
            found = kind.compare(picture)
            sizes.add(picture.shape)
            for name in ('box', 'score', 'embedding', 'query'):
                value = getattr(found, name)
                if not np.isnan(value):
                    largest[name] = max(largest[name], value)
            assert (wrong := found.above(LIMITS)) == [], f'{wrong}: {found}'
    people = sum(len(kind.similarities) for kind in kinds.values())
    with trial.attempt(-1):
        assert people > 2 * trial.done, f'{people} people: nothing was seen'
        assert len(sizes) > trial.done / 2
    figures = ', '.join(f'{name} {x:.0e}' for name, x in largest.items())
    return f'{people} people in {len(sizes)} sizes; differences: {figures}'


class _Both:
    """A network and what was exported of it."""

    def __init__(self, folder: Path, name: str, layout: str) -> None:
        self.folder = folder / f'{name}_{layout}'
        self.name, self.layout = name, layout
        #: Embedding (D,) of the first person seen: in torch, exported.
        self.queries: list[np.ndarray] = []
        #: Of the first person seen to everybody found.
        self.similarities: list[tuple[float, float]] = []

    @cached_property
    def networks(self) -> tuple[Network, OnnxNetwork]:
        self.folder.mkdir()
        config = self.folder / 'config.py'
        config.write_text(
            CONFIG.format(
                root=ROOT,
                name=f'{self.name}/{self.name}_r18_synth',
                data='nowhere',
                channels=64 if self.name == 'oim' else (32, 64),
                people=150,
                more='',
            )
        )
        weights = self.folder / 'weights.pth'
        state = network(load_config(str(config)).model, seed=0).state_dict()
        torch.save({'state_dict': state}, weights)
        before = Network(str(config), str(weights), 'cpu')
        export_network(before, self.folder / 'out', self.layout)
        return before, OnnxNetwork(self.folder / 'out')

    def compare(self, picture: np.ndarray):
        """Difference of what both find, and check the ranking so far."""
        one, other = (
            network.detect([network.prepare(as_scene(picture))])[0]
            for network in self.networks
        )
        query = np.nan
        if self.layout == 'split' and len(one.bboxes):
            a, b = (
                network.embed(
                    network.prepare(as_scene(picture), one.bboxes[0])
                )
                for network in self.networks
            )
            query = float(np.linalg.norm(a - b))
        self._rank(one, other)
        return difference(one, other, DET_THR, query)

    def _rank(self, one: People, other: People) -> None:
        one = one.above(DET_THR)
        if not len(one.bboxes):
            return
        partners = iou(one.bboxes[:, None], other.bboxes[None]).argmax(axis=1)
        embeddings = one.embeddings, other.embeddings[partners]
        if not self.queries:
            self.queries.extend(vectors[0] for vectors in embeddings)
        both = [
            vectors @ query
            for vectors, query in zip(embeddings, self.queries, strict=True)
        ]
        self.similarities += zip(*both, strict=True)
        first, second = np.array(self.similarities).T
        ranked = second[np.argsort(-first, kind='stable')]
        rise = np.diff(ranked).max(initial=0)
        assert rise < TIE, f'another ranking: a similarity rises by {rise}'


def _picture(rng: random.Random) -> np.ndarray:
    """(H, W, 3) uint8 of coarse noise."""
    low, high = np.log([SMALLEST, LARGEST])
    height, width = (round(np.exp(rng.uniform(low, high))) for _ in range(2))
    noise = np.random.default_rng(rng.getrandbits(32))
    coarse = noise.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height))
