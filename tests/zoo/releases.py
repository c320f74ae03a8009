"""What every released network says of two synthetic pictures, kept.

    python -m tests.zoo.releases              networks that are not kept yet
    python -m tests.zoo.releases --replace    all of them, anew
    python -m tests.zoo.releases --replace oim_r18_synth

``releases.json`` has, of each network, the hash of its file, the commit that
the predictions were made with, and the predictions: of people found (boxes in
original pixels, scores) and, of networks that search, of people in given
boxes. ``test_releases.py`` loads the same files with the code of today.

An embedding is kept as its projections on a few fixed vectors of length 1,
which change if any part of it does.

Symbols used in this file:
    M   people found in a picture
    K   people in given boxes
    D   size of an embedding
    J   projections of an embedding
"""

import argparse
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmdet.registry import MODELS, TRANSFORMS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope

from mmps.atomic_files import write_text
from mmps.checkpoints import fill_weights, read_weights
from mmps.plain_model import plain_model
from mmps.synthetic.knobs import Knobs
from mmps.synthetic.look import look_of_identity
from mmps.synthetic.scene import draw_scene
from mmps.zoo import Entry, load_index
from tests.commit import commit

ROOT = Path(__file__).parents[2]
FILE = Path(__file__).with_name('releases.json')
#: Seed, width and height of the pictures; the second one is scaled by the
#: pipelines. Of many seeds, these give the same bytes with OpenCV 4.8 and
#: 5.0, NumPy 1.26 and 2.4, with and without AVX: a rounding of the camera's
#: light can shift a pixel by one level of grey.
PICTURES = ((8, 320, 240), (7, 400, 300))
PEOPLE = 4
#: Score from which on a person is kept; nobody may be within MARGIN of it.
SCORE, MARGIN = 0.5, 1e-3
#: People stand from left to right; the least pixels between two left edges.
APART = 1e-2
PROJECTIONS = 8
#: What the order of float32 sums, which depends on the processor, may change
#: in a number of the size of 1. Measured between SSE4, AVX and AVX2: 7e-7 of
#: a score, 2e-7 of an embedding, 3e-5 pixels.
NOISE = 16 * float(np.finfo(np.float32).eps)
#: Boxes are differences of numbers as large as the picture.
PIXELS = 400


@dataclass(frozen=True)
class Picture:
    """A synthetic picture.

    Attributes:
        image: (H, W, 3) uint8, blue green red.
        bboxes: (K, 4) x1 y1 x2 y2 of its people.
    """

    image: np.ndarray
    bboxes: np.ndarray

    @property
    def sha256(self) -> str:
        """Of the pixels."""
        return hashlib.sha256(self.image.tobytes()).hexdigest()


def pictures() -> list[Picture]:
    """Render the pictures; nothing is read or written."""
    looks = [look_of_identity(0, k, Knobs()) for k in range(PEOPLE)]
    made = []
    for seed, width, height in PICTURES:
        rng = np.random.default_rng(seed)
        scene = draw_scene(rng, looks, width, height, Knobs())
        bboxes = scene.bboxes.astype(np.float64)
        bboxes[:, 2:] += bboxes[:, :2]
        made.append(Picture(scene.image, bboxes))
    return made


def released() -> dict[str, Entry]:
    """Entries of the zoo with weights, by name."""
    entries = load_index(ROOT).entries.values()
    return {e.name: e for e in entries if e.weights is not None}


def predictions(
    entry: Entry, shown: list[Picture], change: Mapping = ()
) -> list[dict]:
    """What a released network says of each picture.

    Args:
        entry: Of the network.
        shown: Pictures.
        change: Weights that take the place of the released ones.

    Returns:
        ``bboxes`` (M, 4), ``scores`` (M,); of networks that search also
        ``found`` (M, J) and ``given`` (K, J), projections of embeddings; of
        query-guided networks also ``guided bboxes``, ``guided scores`` and
        ``similarity`` of a search for the first person of the first picture.
        People found stand from left to right.
    """
    cfg = Config.fromfile(ROOT / entry.config)
    cfg.model = plain_model(cfg.model)
    cfg.model.train_cfg = None
    path = str(ROOT / entry.weights.path)
    _, *steps = cfg.test_dataloader.dataset.pipeline
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(cfg.model).eval()
        prepare = Compose([TRANSFORMS.build(step) for step in steps])
    fill_weights(model, {**read_weights(path), **dict(change)}, path)
    with torch.no_grad():
        told = [
            _told(model.test_step(_batch(prepare, picture))[0])
            for picture in shown
        ]
        if hasattr(model, 'pair_searcher'):
            found = _guided(model, prepare, shown)
            for part, result in zip(told, found, strict=True):
                order = result.bboxes[:, 0].argsort()
                for name in ('bboxes', 'scores', 'similarity'):
                    key = name if name == 'similarity' else f'guided {name}'
                    part[key] = getattr(result, name)[order].numpy()
    return told


def check_same(told: list[dict], kept: list[dict]) -> None:
    """Assert that predictions are the kept ones but for ``NOISE``."""
    assert len(told) == len(kept)
    for number, (now, before) in enumerate(zip(told, kept, strict=True)):
        assert now.keys() == before.keys()
        where = f'picture {number}'
        people = len(now['scores']), len(before['scores'])
        assert people[0] == people[1], f'{where}: {people} people'
        for part, values in before.items():
            np.testing.assert_allclose(
                now[part],
                values,
                rtol=0,
                atol=NOISE * (PIXELS if 'bboxes' in part else 1),
                err_msg=f'{where}, {part}',
            )


def check_clear(told: list[dict]) -> None:
    """Raise a ValueError if a rounding could change who is found."""
    for part in told:
        for name in ('', 'guided ') if 'similarity' in part else ('',):
            scores = part[f'{name}scores']
            if np.abs(scores - SCORE).min(initial=1) < MARGIN:
                raise ValueError(
                    f'{name}scores: one within {MARGIN} of {SCORE}'
                )
            if np.diff(part[f'{name}bboxes'][:, 0]).min(initial=1) < APART:
                raise ValueError(f'{name}bboxes: two left edges too close')


def _batch(prepare: Compose, picture: Picture) -> dict:
    shape = picture.image.shape[:2]
    item = prepare(
        dict(
            img_path='in memory',
            img_id=0,
            img_name='in memory',
            img=picture.image,
            img_shape=shape,
            ori_shape=shape,
            instances=[],
            query_bboxes=picture.bboxes.tolist(),
            query_ids=list(range(len(picture.bboxes))),
        )
    )
    return {key: [item[key]] for key in ('inputs', 'data_samples')}


def _told(sample: DetDataSample) -> dict:
    people = sample.pred_instances
    people = people[people.scores >= SCORE]
    people = people[people.bboxes[:, 0].argsort()]
    told = dict(bboxes=people.bboxes.numpy(), scores=people.scores.numpy())
    if 'embeddings' in people:
        given = sample.query_instances.embeddings
        told.update(
            found=_projected(people.embeddings), given=_projected(given)
        )
    return told


def _projected(embeddings: torch.Tensor) -> np.ndarray:
    """Products (n, J) of embeddings (n, D) and vectors of length 1."""
    size = embeddings.shape[1]
    # whole numbers: the same with every version of NumPy
    signs = np.array(
        [
            [1 - 2 * (hashlib.md5(b'%d %d' % (j, d)).digest()[0] & 1)]
            for j in range(PROJECTIONS)
            for d in range(size)
        ]
    ).reshape(PROJECTIONS, size)
    return embeddings.double().numpy() @ signs.T / size**0.5


def _guided(model, prepare: Compose, shown: list[Picture]) -> list:
    """A ``PairResult`` of each picture."""
    items = [
        {key: values[0] for key, values in _batch(prepare, picture).items()}
        for picture in shown
    ]
    searcher = model.pair_searcher(SCORE, 64)
    box = torch.tensor(shown[0].bboxes[0])
    query = searcher.begin_query(items[0], box)
    galleries = [searcher.begin_gallery(item) for item in items]
    return searcher.search([(query, gallery) for gallery in galleries])


def read() -> dict:
    """The kept file."""
    return json.loads(FILE.read_text())


def write(content: dict) -> None:
    """Write the kept file, a line for each network."""
    lines = [
        f'  {json.dumps(name)}: {json.dumps(release)}'
        for name, release in content['releases'].items()
    ]
    text = ',\n'.join(lines)
    shown = json.dumps(content['pictures'])
    write_text(
        FILE, f'{{"pictures": {shown},\n "releases": {{\n{text}\n}}}}\n'
    )


def keep(names: list[str], kept: dict) -> dict:
    """Run networks and put what they say in place of what is kept.

    Args:
        names: Of the networks.
        kept: Content of the file.

    Returns:
        The new content.
    """
    shown, entries = pictures(), released()
    releases = dict(kept['releases'])
    for name in names:
        told = predictions(entries[name], shown)
        check_clear(told)
        releases[name] = dict(
            sha256=entries[name].weights.sha256,
            commit=commit(),
            predictions=[
                {part: _plain(values) for part, values in one.items()}
                for one in told
            ],
        )
    return dict(
        pictures=[picture.sha256 for picture in shown],
        releases={name: releases[name] for name in sorted(releases)},
    )


def _plain(values: np.ndarray) -> list:
    """Lists of numbers of nine digits, which tell any two float32 apart."""
    if values.ndim > 1:
        return [_plain(row) for row in values]
    return [float(f'{value:.9g}') for value in values.tolist()]


def main() -> None:
    """Keep what new networks say; others only if it is asked for."""
    parser = argparse.ArgumentParser(
        prog='python -m tests.zoo.releases',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('names', nargs='*', metavar='NAME')
    parser.add_argument(
        '--replace',
        action='store_true',
        help='numbers that are kept already; the commit says why',
    )
    args = parser.parse_args()
    kept, entries = read(), released()
    if unknown := set(args.names) - set(entries):
        parser.error(f'not released: {", ".join(sorted(unknown))}')
    old = set(kept['releases'])
    wanted = args.names or sorted(
        entries if args.replace else entries.keys() - old
    )
    if not args.replace and (again := old.intersection(wanted)):
        parser.error(
            f'{", ".join(sorted(again))}: kept already; --replace if the '
            'numbers must change'
        )
    everybody = old <= set(wanted)
    made = [picture.sha256 for picture in pictures()]
    if made != kept['pictures'] and not everybody:
        parser.error(
            'the generator gives other pictures than those of the kept '
            'predictions: --replace all of them, without a name'
        )
    write(keep(wanted, kept))
    print(f'kept: {", ".join(wanted) or "nothing new"}')


if __name__ == '__main__':
    main()
