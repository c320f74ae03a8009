"""Context matching (CBGM) on simulated scenes: gain, and slow reference.

    python benchmarks/cbgm.py [--k1 10] [--k2 3] [--seed 0] [--out result.json]

Three sets of synthetic people; no image is read. In the first two, people walk
in groups that appear together repeatedly among strangers; the second set has
noisier embeddings. In the third, people appear with others each time, so
context can only mislead. Each query is searched in all other images without
CBGM, with CBGM as in the published program, and with the variant that takes
the sum. ``tests/evaluation/reference.py``, plain loops that try all matchings,
scores the same queries, and the largest difference is printed.
"""

import argparse
import dataclasses
import json
import operator
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIMS = 32
#: Name -> whether groups stay together, noise of an embedding's numbers.
SETS = {
    'groups': (True, 0.15),
    'groups, noisier': (True, 0.22),
    'no groups': (False, 0.15),
}
GROUPS, SCENES_OF_A_GROUP = 50, 6


def scenes_of(rng, together: bool) -> list[list[int]]:
    """Who is in each image; people above those of the groups are strangers."""
    sizes = rng.integers(2, 5, size=GROUPS)
    ends = sizes.cumsum()
    people = [list(range(e - s, e)) for s, e in zip(sizes, ends, strict=True)]
    shown = [g for g in people for _ in range(SCENES_OF_A_GROUP)]
    if not together:  # everybody is seen as often, with others
        places = [len(group) for group in shown]
        everyone = rng.permutation([p for group in shown for p in group])
        cuts = [sum(places[:i]) for i in range(1, len(places))]
        shown = [
            list(dict.fromkeys(part))
            for part in (
                everyone[a:b].tolist()
                for a, b in zip(
                    [0, *cuts], [*cuts, len(everyone)], strict=True
                )
            )
        ]
    next_stranger = int(ends[-1])
    scenes = []
    for group in shown:
        there = [p for p in group if rng.random() < 0.85]
        strangers = int(rng.integers(4))
        there += range(next_stranger, next_stranger + strangers)
        next_stranger += strangers
        scenes.append(there)
    return scenes


def simulated(together: bool, noise: float, seed: int):
    """Features of a test set: detections, people, queries, one protocol."""
    import numpy as np

    from mmps.evaluation import Boxes, Features
    from mmps.structures import Protocol, Query

    rng = np.random.default_rng(seed)
    scenes = scenes_of(rng, together)
    known = max(p for scene in scenes for p in scene) + 1
    centre = rng.normal(size=(known, DIMS))
    centre /= np.linalg.norm(centre, axis=1, keepdims=True)

    def embed(people):
        vectors = centre[people] + rng.normal(0, noise, (len(people), DIMS))
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / length).astype(np.float32)

    everyone = np.array([p for scene in scenes for p in scene], np.int64)
    counts = np.array([len(scene) for scene in scenes])
    image = np.repeat(np.arange(len(scenes)), counts)
    place = np.concatenate([np.arange(n) for n in counts])
    corner = np.stack([100.0 * place, np.full(len(place), 50.0)], 1)
    bboxes = np.concatenate([corner, corner + [60, 150]], 1)
    truth = Boxes(
        bboxes.astype(np.float32),
        np.ones(len(bboxes), np.float32),
        None,
        np.concatenate([[0], np.cumsum(counts)]),
    )
    is_found = rng.random(len(bboxes)) < 0.93
    found = Boxes(
        (bboxes + rng.normal(0, 4, bboxes.shape)).astype(np.float32),
        rng.uniform(0.5, 1, len(bboxes)).astype(np.float32),
        embed(everyone),
        truth.offsets,
    ).where(is_found)
    times = np.bincount(everyone)
    rows = [
        int(rng.choice(np.flatnonzero(everyone == person)))
        for person in np.flatnonzero(times > 1)
    ]
    queries = tuple(
        Query(int(image[r]), bboxes[r], f'p{everyone[r]}') for r in rows
    )
    return Features(
        image_names=[f'{i}.jpg' for i in range(len(scenes))],
        detections=found,
        ground_truth=truth,
        gt_ids=np.where(times[everyone] > 1, everyone, -1),
        queries=queries,
        query_embeddings=embed(everyone[rows]),
        protocols={
            'all': Protocol(
                np.arange(len(rows)),
                tuple(gallery(r, everyone, image, bboxes) for r in rows),
            )
        },
    )


def gallery(row: int, people, image, bboxes):
    """All images but the query's own."""
    import numpy as np

    from mmps.structures import Gallery

    own = image[row]
    shows = np.flatnonzero((people == people[row]) & (image != own))
    return Gallery(
        np.array([own], np.int32),
        image[shows].astype(np.int32),
        bboxes[shows],
        complement=True,
    )


def measured(features, k1: int, k2: int) -> dict:
    """Figures of the rows, and how far the loops are from them."""
    from mmps.evaluation.scoring import score_features
    from mmps.evaluation.search import on_grid
    from tests.evaluation import reference

    boxes = features.detections
    rounded = dataclasses.replace(
        features,
        detections=dataclasses.replace(
            boxes, embeddings=on_grid(boxes.embeddings)
        ),
        query_embeddings=on_grid(features.query_embeddings),
    )
    report = {}
    for name, row, options in (
        ('plain', 'all', {}),
        ('published', 'all+cbgm', {'cbgm': {'k1': k1, 'k2': k2}}),
        (
            'sum',
            'all+cbgm-sum',
            {'cbgm': {'k1': k1, 'k2': k2, 'variant': 'sum'}},
        ),
    ):
        scored = score_features(features, **options)
        lines = [x for x in scored.queries if x.protocol == row]
        slow = reference.score_search(
            rounded, 'all', dot=operator.matmul, **options
        )
        report[name] = {
            'mAP': scored.result[f'{row}/mAP'],
            'top-1': scored.result[f'{row}/top-1'],
            'queries': len(lines),
            'largest AP difference': max(
                abs(x.average_precision - s['ap'])
                for x, s in zip(lines, slow, strict=True)
            ),
            'other top-1': sum(
                (x.rank == 1) != s['top'][1]
                for x, s in zip(lines, slow, strict=True)
            ),
        }
    return report


def show(results: dict) -> None:
    print('| set | row | mAP | top-1 | AP, largest difference | other top-1 |')
    print('| --- ' * 6 + '|')
    for name, rows in results.items():
        for row, figures in rows.items():
            print(
                f'| {name} | {row} | {100 * figures["mAP"]:.1f} '
                f'| {100 * figures["top-1"]:.1f} '
                f'| {figures["largest AP difference"]:.1e} '
                f'| {figures["other top-1"]} of {figures["queries"]} |'
            )
            name = ''


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--k1', type=int, default=10, help='[%(default)s]')
    parser.add_argument('--k2', type=int, default=3, help='[%(default)s]')
    parser.add_argument('--seed', type=int, default=0, help='[%(default)s]')
    parser.add_argument('--out', type=Path, help='write the figures as JSON')
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    results = {
        name: measured(simulated(*how, args.seed), args.k1, args.k2)
        for name, how in SETS.items()
    }
    show(results)
    if args.out:
        args.out.write_text(json.dumps(results, indent=1) + '\n')


if __name__ == '__main__':
    main()
