"""Turn after turn of reading, searching and archiving: what is left behind?

A turn reads a training batch through the pipeline of the configs (no
workers), detects everybody in a picture, embeds a query and ranks an index.
Every tenth adds people to an archive of LanceDB, searches it and deletes the
oldest. The first tenth of the turns is a warm-up.
"""

import os
import random
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from mmengine.runner import Runner

from mmps.apis import load_config
from mmps.inference import (
    LanceStore,
    PersonSearchInferencer,
    Source,
    Where,
)
from tests.distillation.networks import network
from tests.evaluation.pair_runs import ROOT
from tests.inference.tiny import TINY
from tests.synthetic.sets import make_prw

from .trial import Trial

#: Of memory after the warm-up.
GROWTH = 0.01
#: Turns from which on these are compared.
LEVEL = 1000
#: Threads that pools of libraries may still open when they meet a new peak
#: of work; a leak would open one every few turns.
POOLS = 32
#: Turns between two of the archive, and pictures that stay in it.
ARCHIVE, KEPT = 10, 20
CONFIG = (
    TINY
    + """
train_pipeline = [
    dict(type='LoadScene'),
    dict(type='ClipPeople'),
    dict(type='LoadTrackAnnotations'),
    dict(type='Resize', scale=(80, 60), keep_ratio=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackPersonSearchInputs'),
]
test_pipeline = [
    dict(type='LoadScene'),
    dict(type='ClipPeople'),
    dict(type='Resize', scale=(80, 60), keep_ratio=True),
    dict(type='LoadTrackAnnotations'),
    dict(type='PackPersonSearchInputs'),
]
here = dict(num_workers=0, persistent_workers=False)
scenes = dict(type='PRWDataset', data_root='{data}')
train_dataloader = dict(
    batch_size=2, dataset=dict(**scenes, pipeline=train_pipeline), **here
)
test_dataloader = dict(dataset=dict(**scenes, pipeline=test_pipeline), **here)
test_evaluator = dict(det_thr=0.05)
"""
)


@dataclass
class Levels:
    """Memory, open files and threads of this process, turn by turn.

    Attributes:
        memory: Resident bytes.
        files: Open file descriptors.
        threads: Threads.
    """

    memory: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)

    def note(self) -> None:
        """Measure."""
        self.memory.append(resident())
        self.files.append(len(os.listdir('/proc/self/fd')))
        self.threads.append(len(os.listdir('/proc/self/task')))

    def growth(self) -> dict[str, float]:
        """From the tenth after the warm-up to the last one.

        Of memory the share, of the others the number.
        """
        tenth = max(1, len(self.memory) // 10)
        early, late = slice(tenth, 2 * tenth), slice(-tenth, None)
        median = np.median(self.memory[early])
        return dict(
            memory=float(np.median(self.memory[late]) / median - 1),
            files=max(self.files[late]) - max(self.files[early]),
            threads=max(self.threads[late]) - max(self.threads[early]),
        )


def resident() -> int:
    """Bytes of this process that are in memory."""
    pages = Path('/proc/self/statm').read_text().split()[1]
    return int(pages) * os.sysconf('SC_PAGE_SIZE')


def attack(trial: Trial) -> str:
    """Take turns and look at memory, files and threads."""
    turns = _Turns(trial.folder)
    levels = Levels()
    for number, rng in trial.each():
        with trial.attempt(number):
            turns.read(number)
            turns.search(rng)
            if number % ARCHIVE == 0:
                turns.archive(number)
        levels.note()
    growth = levels.growth()
    with trial.attempt(-1):
        assert turns.people > trial.done, 'nobody was found'
        if trial.done >= LEVEL:
            assert growth['memory'] < GROWTH, growth
            assert growth['files'] <= 0, growth
            assert growth['threads'] <= POOLS, growth
    return (
        f'{trial.done} batches, {trial.done} searches, {turns.archived} '
        f'times the archive, {turns.people} people; memory '
        f'{levels.memory[-1] / 1e6:.0f} MB, {growth["memory"]:+.2%} after '
        f'the warm-up, {growth["files"]:+d} files, {growth["threads"]:+d} '
        'threads'
    )


class _Turns:
    """What a turn works on, made once."""

    def __init__(self, folder: Path) -> None:
        make_prw(folder / 'data')
        config, weights = folder / 'soak.py', folder / 'soak.pth'
        config.write_text(CONFIG.format(root=ROOT, data=folder / 'data'))
        cfg = load_config(str(config))
        state = network(cfg.model, seed=0).state_dict()
        torch.save({'state_dict': state}, weights)
        self.loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
        self.batches = iter(self.loader)
        self.inferencer = PersonSearchInferencer(
            str(config), str(weights), 'cpu'
        )
        self.pictures = sorted((folder / 'data/frames').glob('*.jpg'))[:16]
        self.index = self.inferencer.index(self.pictures)
        self.store = LanceStore.create(
            folder / 'archive',
            self.inferencer.network.fingerprint,
            self.inferencer.det_thr,
            self.index.boxes.embeddings.shape[1],
        )
        self.people = self.archived = self.epoch = 0

    def read(self, number: int) -> None:
        """The next training batch."""
        batch = next(self.batches, None)
        if batch is None:
            self.epoch += 1
            self.loader.dataset.set_epoch(self.epoch)
            self.batches = iter(self.loader)
            batch = next(self.batches)
        assert len(batch['inputs']) > 0

    def search(self, rng: random.Random) -> None:
        """Detect in a picture, and rank the index for a box in another."""
        self.found = self.inferencer.people(str(rng.choice(self.pictures)))
        self.people += len(self.found.scores)
        x, y = rng.randint(0, 60), rng.randint(0, 40)
        box = x, y, x + rng.randint(10, 60), y + rng.randint(20, 56)
        matches = self.inferencer.search(
            str(rng.choice(self.pictures)), box, self.index, top=5
        )
        assert len(matches) == 5

    def archive(self, number: int) -> None:
        """Add the people of a picture, search, and delete old ones."""
        time = 1e9 + self.archived
        source = Source(f'/cam/{number}.jpg', camera='gate', time=time)
        self.store.add([source], self.found)
        query = self.index.boxes.embeddings[number % len(self.index.boxes)]
        matches = self.store.search(query, 3)
        assert len(matches) == min(3, len(self.store))
        if self.archived % KEPT == KEPT - 1:
            self.store.delete(Where(before=time - KEPT / 2))
        self.archived += 1
