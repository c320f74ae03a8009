"""Broken pictures go through everything that reads pictures.

Whatever reads one refuses it with its name, and all agree: none accepts what
another one refuses, and all see the same pixels.
"""

import hashlib
import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from mmps.apis import load_config
from mmps.datasets import CocoPersonDataset
from mmps.datasets.check import check_image
from mmps.datasets.pictures import SUFFIXES, picture_size
from mmps.datasets.transforms import LoadScene
from mmps.demo.searcher import Searcher
from mmps.inference import Origins, PersonSearchInferencer, Source
from mmps.inference.archive import ArchiveWriter
from mmps.inference.onnx_network import OnnxNetwork
from mmps.inference.people import People
from mmps.inference.scenes import as_scene
from mmps.visualization import canvas
from tests.distillation.networks import network
from tests.inference.tiny import TINY

from .cost import cost
from .isolated import Isolated, quiet
from .picture_files import REFUSED, SAME, Broken, broken, originals, solid
from .trial import Trial, batches

ROOT = Path(__file__).parents[2]
#: Of a reader: seconds of the processor in any case and for so many pixels
#: each, and MB beside the pixels.
SECONDS, SPEED, MB = 1.0, 20e6, 200
#: Bytes that a pixel takes, as ``mmps.datasets.pictures`` says.
BYTES = 6
#: One case of so many has many pixels, and the pictures of so many cases are
#: a gallery, an archive and a data set.
SOLID, GROUP = 500, 250


def attack(trial: Trial) -> str:
    """See the module; pictures are read in a process that may die of them."""
    readers = Readers(trial.folder)
    known = originals()
    truth = {name: _named(_decoded(data)) for name, data in known.items()}
    seen: Counter = Counter()
    slowest = largest = 0.0
    with Isolated(readers.look) as look:
        for group in batches(trial.each(), GROUP):
            cases, states = {}, {}
            for number, rng in group:
                path = trial.folder / f'{number}{rng.choice(SUFFIXES)}'
                cases[path] = _case(known, number, rng)
                path.write_bytes(cases[path].data)
            found = look([(str(path),) for path in cases])
            for (number, _), path, answer in zip(
                group, cases, found, strict=True
            ):
                with trial.attempt(number):
                    assert not answer.problem, answer.problem
                    views = answer.result
                    slowest = max(
                        slowest, *(v.seconds for v in views.values())
                    )
                    largest = max(largest, *(v.beside for v in views.values()))
                    states[path] = state = _agreed(views, path.name)
                    seen[state] += 1
                    what, case = views['loader'].what, cases[path]
                    seen['equal'] += what == truth.get(case.like)
                    if case.fate == REFUSED:
                        assert state == 'refused', f'{path.name} was read'
                    if case.fate == SAME:
                        assert what == truth[case.like], f'{path.name}: {what}'
                    _check_costs(views)
            if len(group) == GROUP:
                with trial.attempt(group[-1][0]), quiet():
                    # none ended a process; and LanceDB survives no fork
                    _check_group(readers.gather(list(states)), states)
                    seen['groups'] += 1
            for path in cases:
                path.unlink()
    if trial.only is None and trial.done >= GROUP:
        assert min(seen['refused'], seen['read'], seen['equal']) > 0, seen
    return (
        f'{seen["refused"]:,} refused by all readers, {seen["read"]:,} read '
        f'by all ({seen["equal"]:,} with the pixels of the unbroken picture), '
        f'{seen["groups"]} galleries, archives and data sets of {GROUP}; '
        f'slowest reader {slowest:.2f} s, {largest:.0f} MB beside the pixels'
    )


def _case(known: dict[str, bytes], number: int, rng: random.Random) -> Broken:
    if number % SOLID < SOLID - 1:
        return broken(known, rng)
    size = rng.choice(((5000, 4000), (8000, 3000), (4000, 4000)))
    kind = rng.choice(('png', 'jpeg', 'progressive'))
    return Broken(solid(*size, kind), 'any', kind)


@dataclass(frozen=True)
class View:
    """What a reader made of a file.

    Attributes:
        state: 'read', 'refused' or 'raised'.
        what: Size and fingerprint, or size alone; or the message.
        seconds: Of the processor.
        mb: Of memory, at its peak.
    """

    state: str
    what: str
    seconds: float
    mb: float

    @property
    def pixels(self) -> int:
        """Of the picture that was read; 0 if none was."""
        if self.state != 'read' or ' x ' not in self.what:
            return 0
        width, _, height = self.what.split()[:3]
        return int(width) * int(height)

    @property
    def beside(self) -> float:
        """MB that the size of the picture does not explain."""
        return self.mb - BYTES * self.pixels / 2**20


class Readers:
    """All that reads pictures, with a tiny network that sees nobody.

    Args:
        folder: For its files.
    """

    def __init__(self, folder: Path) -> None:
        config, weights = folder / 'tiny.py', folder / 'tiny.pth'
        config.write_text(TINY.format(root=ROOT))
        model = network(load_config(str(config)).model, seed=0)
        torch.save({'state_dict': model.state_dict()}, weights)
        self.inferencer = PersonSearchInferencer(
            str(config), str(weights), 'cpu'
        )
        # whom it would see in a broken picture is not what is attacked
        self.inferencer.network.detect = _nobody
        self.folder = folder / 'group'

    def look(self, path: str) -> dict[str, View]:
        """What each reader makes of a file."""
        network = self.inferencer.network
        searcher = Searcher(self.inferencer)
        exported = OnnxNetwork.__new__(OnnxNetwork)  # reading needs no graph
        readers = dict(
            size=picture_size,
            loader=lambda path: _loaded(path)['img'],
            check=lambda path: check_image(_item(path)),
            network=lambda path: network.read(as_scene(path)),
            scaled=lambda path: network.prepare(as_scene(path)),
            exported=lambda path: exported.read(as_scene(path)),
            page=lambda path: searcher.query(path).picture,
            sheet=canvas.read,
            origin=lambda path: Origins()(Source(path)).time,
        )
        return {name: _view(read, path) for name, read in readers.items()}

    def gather(self, paths: Sequence[Path]) -> dict[str, set[str]]:
        """Which files a gallery, an archive and a data set leave out."""
        shutil.rmtree(self.folder, ignore_errors=True)
        pictures = self.folder / 'images'
        pictures.mkdir(parents=True)
        for path in paths:
            shutil.copy(path, pictures)
        (pictures / 'good.png').write_bytes(originals()['png'])
        files = sorted(map(str, pictures.iterdir()))
        index = self.inferencer.index(files, skip_broken=lambda error: None)
        writer = ArchiveWriter(self.folder / 'store', files, Origins())
        added = writer.add(self.inferencer)
        return {
            'gallery': _names(index.broken),
            'archive': _names(added.broken),
            'data set': self._skipped(files),
        }

    def _skipped(self, files: Sequence[str]) -> set[str]:
        """Those that a training passes over; their number is compared."""
        rows = [
            dict(id=number, file_name=Path(file).name)
            for number, file in enumerate(files)
        ]
        people = [
            dict(id=row['id'], image_id=row['id'], bbox=[0, 0, 9, 9])
            for row in rows
        ]
        content = self.folder / 'annotations/train.json'
        content.parent.mkdir()
        content.write_text(json.dumps(dict(images=rows, annotations=people)))
        dataset = CocoPersonDataset(
            data_root=str(self.folder),
            pipeline=[dict(type='LoadScene')],
            on_bad_image='skip',
        )
        left_out = {
            dataset.get_data_info(i)['img_path']
            for i in range(len(dataset))
            if dataset.prepare_data(i) is None
        }
        assert dataset.skipped_images == len(left_out)
        return _names(left_out)


def _names(paths) -> set[str]:
    return {Path(path).name for path in paths}


def _item(path: str) -> dict:
    return dict(img_path=path, instances=[])


def _loaded(path: str) -> dict:
    return LoadScene().transform(_item(path))


def _nobody(items: Sequence[dict]) -> list[People]:
    nothing = np.zeros((0, 4), np.float32)
    return [
        People(nothing, nothing[:, 0], np.zeros((0, 8), np.float32))
        for _ in items
    ]


def _view(read: Callable, path: str) -> View:
    with cost() as spent:
        try:
            found = read(path)
            state, what = 'read', _named(found)
            if isinstance(found, str):  # of a check: what is wrong
                state, what = 'refused', found
        except ValueError as error:  # as DatasetError is one
            state, what = 'refused', str(error)
        except Exception as error:
            state, what = 'raised', f'{type(error).__name__}: {error}'
    return View(state, what, spent.seconds, spent.mb)


def _named(found: object) -> str:
    """Size and fingerprint of pixels, a size; '' of anything else."""
    if isinstance(found, tuple):
        return '{} x {}'.format(*found)
    if not isinstance(found, np.ndarray):
        return ''
    digest = hashlib.sha256(np.ascontiguousarray(found)).hexdigest()[:16]
    return f'{found.shape[1]} x {found.shape[0]} {digest}'


def _decoded(data: bytes) -> np.ndarray:
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags)


def _agreed(views: dict[str, View], name: str) -> str:
    """What all readers say; 'read' or 'refused'."""
    for reader, view in views.items():
        assert view.state != 'raised', f'{reader}: {view.what}'
        named = view.state == 'read' or name in view.what
        assert named, f'{reader} does not name the file: {view.what}'
    assert views.pop('origin').state == 'read'
    size = views['size']
    states = {k: a.state for k, a in views.items() if k != 'size'}
    assert len(set(states.values())) == 1, f'{name}: {states}'
    pixels = {a.what for a in views.values() if a.what.count(' ') == 3}
    state = states['loader']
    if state == 'read':
        assert len(pixels) == 1, f'{name}: {pixels}'
        assert size.state == 'read', size.what
        assert pixels.pop().startswith(f'{size.what} '), size.what
    return state


def _check_costs(views: dict[str, View]) -> None:
    for name, view in views.items():
        allowed = SECONDS + view.pixels / SPEED
        assert view.seconds < allowed, f'{name}: {view.seconds:.1f} s'
        assert view.beside < MB, f'{name}: {view.mb:.0f} MB'


def _check_group(
    left_out: dict[str, set[str]], states: dict[Path, str]
) -> None:
    """Whatever takes many pictures leaves out what single ones refuse."""
    expected = {p.name for p, state in states.items() if state == 'refused'}
    for what, names in left_out.items():
        wrong = sorted(names ^ expected)
        assert not wrong, f'{what} differs from single pictures in {wrong}'
