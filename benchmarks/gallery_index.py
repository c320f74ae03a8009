"""Time of one query in a large gallery index, against sorting everything.

    OMP_NUM_THREADS=1 python benchmarks/gallery_index.py [--out result.json]

The embeddings are random (no image is read), half of them around common
centres, as those of people are, and some rows are repeated so that there are
ties. `brute force` computes the exact similarity of every row and sorts all of
them; `float32 sort` sorts what a float32 product says. Before anything is
timed, the first --top of the index must be those of the brute force, equals in
the order of the gallery; else the benchmark fails.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--rows', type=int, default=100_000)
    parser.add_argument('--dims', type=int, default=256)
    parser.add_argument('--top', type=int, default=100)
    parser.add_argument('--queries', type=int, default=20)
    parser.add_argument('--repeat', type=int, default=5)
    parser.add_argument('--out', type=Path, help='write a JSON file')
    return parser.parse_args()


def random_index(rows: int, dims: int, seed: int = 0):
    """An index, and ``rows`` // 50 unit vectors near some of its rows."""
    import numpy as np

    from mmps.evaluation import Boxes
    from mmps.inference import GalleryIndex, Source

    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(1, rows // 50), dims))
    vectors = rng.normal(size=(rows, dims))
    vectors[::2] += 2 * centres[rng.integers(len(centres), size=-(-rows // 2))]
    vectors[rng.integers(rows, size=rows // 20)] = vectors[0]  # ties
    embeddings = _unit(vectors)
    images = -(-rows // 5)
    offsets = np.minimum(np.arange(images + 1) * 5, rows)
    boxes = Boxes(
        np.tile(np.array([0, 0, 40, 80], np.float32), (rows, 1)),
        np.full(rows, 0.9, np.float32),
        embeddings,
        offsets,
    )
    sources = [Source(f'{number}.jpg') for number in range(images)]
    queries = _unit(centres + 0.3 * rng.normal(size=centres.shape))
    queries[0] = embeddings[0]  # the best rows are equal
    return GalleryIndex(sources, boxes, 'random', 0.5), queries


def _unit(vectors):
    import numpy as np

    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / length).astype(np.float32)


def brute_force(index, query, top: int):
    """Rows of the exact full sort."""
    import numpy as np

    from mmps.evaluation.search import on_grid

    exact = on_grid(index.boxes.embeddings) @ on_grid(query)
    return np.argsort(-exact, kind='stable')[:top]


def float32_sort(index, query, top: int):
    """Rows of the full sort of a float32 product; ties may be torn."""
    import numpy as np

    return np.argsort(-(index.boxes.embeddings @ query), kind='stable')[:top]


def median_ms(run, queries, repeat: int) -> float:
    """Median over all queries and repeats."""
    times = []
    for _ in range(repeat):
        for query in queries:
            start = time.perf_counter()
            run(query)
            times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def main() -> None:
    args = parse_args()
    import numpy as np

    index, queries = random_index(args.rows, args.dims)
    queries = queries[: args.queries]
    for number, query in enumerate(queries):
        rows, _ = index.ranked(query, args.top)
        if not np.array_equal(rows, brute_force(index, query, args.top)):
            sys.exit(f'query {number}: not the order of the brute force')
    report = dict(
        rows=args.rows,
        dims=args.dims,
        top=args.top,
        queries=len(queries),
        cores=len(os.sched_getaffinity(0)),
        threads=os.environ.get('OMP_NUM_THREADS', 'default'),
        load=round(os.getloadavg()[0], 1),
        numpy=np.__version__,
    )
    print(', '.join(f'{key} {value}' for key, value in report.items()))
    print(
        f'{len(queries)} of {len(queries)} rankings are those of brute force'
    )
    ways = {
        'index': lambda query: index.search(query, args.top),
        'float32 sort': lambda query: float32_sort(index, query, args.top),
        'brute force': lambda query: brute_force(index, query, args.top),
    }
    report['median_ms'] = {}
    for name, run in ways.items():
        few = queries if name != 'brute force' else queries[:3]
        spent = median_ms(run, few, args.repeat)
        report['median_ms'][name] = spent
        ratio = spent / report['median_ms']['index']
        print(f'{name:>12}: {spent:8.2f} ms a query, {ratio:5.1f} x the index')
    if args.out:
        args.out.write_text(json.dumps(report, indent=1) + '\n')


if __name__ == '__main__':
    main()
