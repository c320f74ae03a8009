"""Time and memory of the scorer on data of PRW's size.

    python benchmarks/evaluation.py [--out result.json]

The data is random (no image is read): 6112 images, 2057 queries, 256 numbers
per embedding, about 4 detections per image, galleries as in PRW. The slow
reference is ``tests/evaluation/reference.py``, the protocol in plain loops
over gallery images, with NumPy products for its similarities; it runs on a
sample of the queries and its time is scaled to all of them.
"""

import argparse
import dataclasses
import json
import operator
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMAGES, QUERIES, DIMS, PEOPLE = 6112, 2057, 256, 450


def random_prw(seed: int = 0):
    """Features of PRW's size: regular, cross-camera and mini."""
    import numpy as np

    from mmps.evaluation import Boxes, Features
    from mmps.structures import Query

    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 8, size=IMAGES)  # 4 in the mean
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    num = int(offsets[-1])
    corner = rng.uniform(0, 1500, size=(num, 2))
    sides = rng.uniform([30, 80], [150, 400], size=(num, 2))
    bboxes = np.concatenate([corner, corner + sides], 1).astype(np.float32)
    # three of four people have an identity
    ids = np.where(rng.random(num) < 0.76, rng.integers(PEOPLE, size=num), -1)
    centre = rng.normal(size=(PEOPLE + 1, DIMS))

    def embed(identity):
        noise = rng.normal(size=(len(identity), DIMS))
        vectors = centre[identity] + 2 * noise
        vectors[identity < 0] = noise[identity < 0]
        length = np.linalg.norm(vectors, axis=1, keepdims=True)
        return (vectors / length).astype(np.float32)

    shake = rng.normal(0, 4, size=bboxes.shape).astype(np.float32)
    found = Boxes(
        bboxes + shake,
        rng.uniform(0.5, 1, num).astype(np.float32),
        embed(ids),
        offsets,
    )
    truth = Boxes(bboxes, np.ones(num, np.float32), embed(ids), offsets)
    rows = rng.choice(np.flatnonzero(ids >= 0), QUERIES, replace=False)
    queries = tuple(
        Query(int(truth.image[r]), bboxes[r].astype(np.float64), str(ids[r]))
        for r in rows
    )
    return Features(
        image_names=[f'{i}.jpg' for i in range(IMAGES)],
        detections=found,
        ground_truth=truth,
        gt_ids=ids,
        queries=queries,
        query_embeddings=embed(ids[rows]),
        protocols=galleries(truth, ids, rows, rng.integers(6, size=IMAGES)),
    )


def galleries(truth, ids, rows, camera) -> dict:
    """PRW's three protocols; ``rows`` are the boxes of the queries."""
    import numpy as np

    from mmps.structures import Gallery, Protocol

    def gallery(row, cross_camera):
        own = int(truth.image[row])
        out = np.array([own])
        if cross_camera:
            out = np.flatnonzero(camera == camera[own])
        shows = np.flatnonzero(ids == ids[row])
        shows = shows[~np.isin(truth.image[shows], out)]
        image, first = np.unique(truth.image[shows], return_index=True)
        boxes = truth.bboxes[shows[first]].astype(np.float64)
        return Gallery(
            out.astype(np.int32),
            image.astype(np.int32),
            boxes,
            complement=True,
        )

    regular = tuple(gallery(row, False) for row in rows)
    cross = tuple(gallery(row, True) for row in rows)
    everyone = np.arange(len(rows))
    return {
        'regular': Protocol(everyone, regular),
        'cross-camera': Protocol(everyone, cross),
        'mini': Protocol(everyone[:30], regular[:30]),
    }


def work(task: str, dump: str, repeat: int, sample: int) -> dict:
    """One measurement in a process of its own."""
    from mmps.evaluation import evaluate, read_dump

    before = peak_mb()
    features = read_dump(dump)
    if task == 'reference':
        report = reference(features, sample)
    else:
        how = {
            'detection': {'protocols': []},
            'regular': {'protocols': ['regular']},
            'three protocols': {},
            'regular, CBGM 30 4': {
                'protocols': ['regular'],
                'cbgm': {'k1': 30, 'k2': 4},
            },
        }[task]
        times = []
        for _ in range(repeat):
            start = time.perf_counter()
            result = evaluate(features, **how)
            times.append(time.perf_counter() - start)
        report = {
            'seconds': statistics.median(times),
            'slowest': max(times),
            'mAP': result.get('regular/mAP'),
        }
    return report | {'imports_mb': before, 'peak_mb': peak_mb()}


def reference(features, sample: int) -> dict:
    """Time the loops on some queries, and compare what they find."""
    import numpy as np

    sys.path.insert(0, str(ROOT))
    from mmps.evaluation.search import on_grid, score_search
    from tests.evaluation.reference import per_image
    from tests.evaluation.reference import score_search as slow_search

    boxes = features.detections
    rounded = dataclasses.replace(
        features,
        detections=dataclasses.replace(
            boxes, embeddings=on_grid(boxes.embeddings)
        ),
        query_embeddings=on_grid(features.query_embeddings),
    )
    images = per_image(rounded.detections, 0.5)
    chosen = range(0, QUERIES, -(-QUERIES // sample))
    start = time.perf_counter()
    slow = slow_search(
        rounded, 'regular', images=images, dot=operator.matmul, only=chosen
    )
    seconds = time.perf_counter() - start
    fast = score_search(
        boxes.above(0.5),
        features.query_embeddings,
        {'regular': features.protocols['regular']},
    )['regular']
    difference = np.abs(
        fast.average_precision[list(chosen)] - [r['ap'] for r in slow]
    )
    return {
        'seconds': seconds * QUERIES / len(chosen),
        'sample': len(chosen),
        'largest AP difference': float(difference.max()),
    }


def peak_mb() -> float:
    """Peak resident memory of this process.

    Linux counts the parent's memory into ``ru_maxrss`` of a child that it
    starts, so its own counter goes first.
    """
    status = Path('/proc/self/status')
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith('VmHWM:'):
                return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def in_subprocess(task: str, dump: Path, args: argparse.Namespace) -> dict:
    command = [sys.executable, __file__, '--task', task, '--dump', str(dump)]
    command += ['--repeat', str(args.repeat), '--sample', str(args.sample)]
    paths = [str(ROOT), os.environ.get('PYTHONPATH', '')]
    done = subprocess.run(
        command,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {'PYTHONPATH': os.pathsep.join(filter(None, paths))},
    )
    return json.loads(done.stdout.splitlines()[-1])


def machine() -> dict:
    import numpy
    import scipy

    name = platform.processor() or platform.machine()
    info = Path('/proc/cpuinfo')
    if info.exists():
        lines = info.read_text().splitlines()
        name = next(
            (x.split(':')[1].strip() for x in lines if x[:10] == 'model name'),
            name,
        )
    return {
        'cpu': name,
        'cores': len(os.sched_getaffinity(0)),
        'threads': os.environ.get('OMP_NUM_THREADS', 'default'),
        'load': round(os.getloadavg()[0], 1),
        'python': platform.python_version(),
        'numpy': numpy.__version__,
        'scipy': scipy.__version__,
    }


def show(results: dict, about: dict) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=', '.join(f'{k} {v}' for k, v in about.items()))
    for name in ('task', 'seconds', 'times', 'peak MB', 'of it imports'):
        table.add_column(name, justify='left' if name == 'task' else 'right')
    base = results['regular']['seconds']
    for task, figures in results.items():
        label = task
        if 'sample' in figures:
            label += f' (from {figures["sample"]} queries)'
        table.add_row(
            label,
            f'{figures["seconds"]:.2f}',
            f'{figures["seconds"] / base:.1f}',
            f'{figures["peak_mb"]:.0f}',
            f'{figures["imports_mb"]:.0f}',
        )
    Console(width=110).print(table)
    difference = results['reference']['largest AP difference']
    print(f'largest difference of an AP to the reference: {difference:.1e}')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--out', type=Path, help='write the figures as JSON')
    parser.add_argument('--repeat', type=int, default=5)
    parser.add_argument('--sample', type=int, default=30)
    parser.add_argument('--task', help=argparse.SUPPRESS)
    parser.add_argument('--dump', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.task:
        print(json.dumps(work(args.task, args.dump, args.repeat, args.sample)))
        return
    sys.path.insert(0, str(ROOT))
    from mmps.evaluation import write_dump

    tasks = ('regular', 'three protocols', 'regular, CBGM 30 4', 'detection')
    with tempfile.TemporaryDirectory() as folder:
        dump = Path(folder) / 'prw.npz'
        write_dump(random_prw(), dump)
        results = {
            task: in_subprocess(task, dump, args)
            for task in (*tasks, 'reference')
        }
    about = machine()
    show(results, about)
    if args.out:
        text = json.dumps({'machine': about, 'results': results}, indent=1)
        args.out.write_text(text + '\n')


if __name__ == '__main__':
    main()
