"""Time of a query in an archive: NumPy, LanceDB and faiss, side by side.

    OMP_NUM_THREADS=1 python benchmarks/archive.py --rows 100000 1000000
    OMP_NUM_THREADS=1 python benchmarks/archive.py --rows 10000000 \\
        --ways lance index --repeat 1 --data data/archive --out result.json

Entries are random unit vectors of 256 numbers, half of them around common
centres, as those of people are; 30 cameras took them in 30 days. Each way
builds in a process of its own and is searched in another, one after the
other, so that the memory of each is its own. Times are medians of all queries
and repeats; in brackets is the time of the processor, all threads together,
which other programs disturb less.

`numpy` is a GalleryIndex, `lance` an archive searched exhaustively,
`index` the same archive with its index for approximate search, `faiss` an
IndexFlatIP, which keeps no camera and no time (filters are lists of rows that
are made beforehand, and not timed).

Conditions: everybody; one camera of 30; one camera and one day of 30.
The ten best of every exhaustive way must be those of the others, else the
benchmark fails; of `index` the share of them that it finds is the recall.
`--data` keeps archives and the report of each way that is done: the same
command goes on where it was killed. Needs mmps[store], and faiss-cpu for
`faiss`.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from datetime import date
from pathlib import Path

DIMS, CAMERAS, DAYS, TOP = 256, 30, 30, 10
PICTURE = 5  # people
CHUNK = 250_000
BEGIN = 1.7e9


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--rows', type=int, nargs='+', default=[100_000])
    parser.add_argument(
        '--ways', nargs='+', default=['numpy', 'lance', 'index', 'faiss']
    )
    parser.add_argument('--queries', type=int, default=10)
    parser.add_argument('--repeat', type=int, default=3)
    parser.add_argument(
        '--data', help='folder that keeps the data [a temporary one]'
    )
    parser.add_argument('--out', type=Path, help='write a JSON file')
    parser.add_argument('--one', help=argparse.SUPPRESS)
    parser.add_argument('--build', action='store_true', help=argparse.SUPPRESS)
    return parser.parse_args()


def part(start: int, stop: int, total: int):
    """Embeddings, scores and sources of some rows, always the same ones.

    Args:
        start: First row; a multiple of CHUNK.
        stop: After the last row.
        total: Rows of all, which lie evenly in DAYS.
    """
    import numpy as np

    from mmps.inference import Source

    centres = np.random.default_rng(0).normal(size=(2000, DIMS))
    centres = centres.astype(np.float32)
    rng = np.random.default_rng(1 + start)
    num = stop - start
    vectors = rng.standard_normal((num, DIMS), np.float32)
    vectors[::2] += 2 * centres[rng.integers(len(centres), size=-(-num // 2))]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    scores = rng.uniform(0.5, 1, num).astype(np.float32)
    sources = [
        Source(
            f'/rec/c{picture % CAMERAS:02d}/{picture:09d}.jpg',
            None,
            None,
            f'c{picture % CAMERAS:02d}',
            BEGIN + 86400 * DAYS * PICTURE * picture / total,
        )
        for picture in range(start // PICTURE, -(-stop // PICTURE))
    ]
    return vectors, scores, sources


def boxes_of(vectors, scores):
    import numpy as np

    from mmps.evaluation import Boxes

    num = len(vectors)
    offsets = np.minimum(np.arange(-(-num // PICTURE) + 1) * PICTURE, num)
    box = np.array([0, 0, 40, 80], np.float32)
    return Boxes(np.tile(box, (num, 1)), scores, vectors, offsets)


def conditions():
    from mmps.inference import Where

    day = BEGIN + 86400 * (DAYS // 2)
    return {
        'everybody': None,
        'camera': Where(cameras=['c07']),
        'camera, day': Where(cameras=['c07'], after=day, before=day + 86400),
    }


def queries(num: int, total: int):
    """Unit vectors near people of the archive, (num, DIMS) float32."""
    import numpy as np

    vectors, *_ = part(0, min(CHUNK, total), total)
    rng = np.random.default_rng(7)
    found = vectors[rng.integers(len(vectors), size=num)]
    found = found + 0.03 * rng.standard_normal((num, DIMS), np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def chunks(total: int):
    for start in range(0, total, CHUNK):
        yield part(start, min(start + CHUNK, total), total)


class Spent:
    """Adds up seconds by the clock, and of the processor."""

    def __init__(self):
        self.wall = self.busy = 0.0

    def __enter__(self):
        self.begin = time.perf_counter(), time.process_time()

    def __exit__(self, *_):
        self.wall += time.perf_counter() - self.begin[0]
        self.busy += time.process_time() - self.begin[1]

    def report(self) -> dict:
        return dict(build_s=self.wall, build_cpu_s=self.busy)


def numpy_way(folder: Path, total: int):
    """Searcher, and what it took to make."""
    import numpy as np

    from mmps.inference import GalleryIndex

    spent = Spent()
    parts = list(chunks(total))
    with spent:
        vectors = np.concatenate([p[0] for p in parts])
        scores = np.concatenate([p[1] for p in parts])
        sources = [source for p in parts for source in p[2]]
        parts.clear()
        index = GalleryIndex(sources, boxes_of(vectors, scores), 'net', 0.5)
    return (
        lambda query, name, where: keys(index.search(query, TOP, where)),
        spent.report(),
    )


def build_lance(folder: Path, total: int) -> dict:
    """An archive; what it took."""
    from datetime import timedelta

    from mmps.inference import LanceStore

    shutil.rmtree(folder, ignore_errors=True)  # of a build that was killed
    spent = Spent()
    store = LanceStore.create(folder, 'net', 0.5, DIMS)
    for vectors, scores, sources in chunks(total):
        with spent:
            store.add(sources, boxes_of(vectors, scores))
    with spent:
        store.compact()
    # old versions stay for a quarter of an hour; their disk is not counted
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', UserWarning)
        store._table.optimize(
            cleanup_older_than=timedelta(0), delete_unverified=True
        )
    return dict(**spent.report(), disk_mb=disk_mb(folder))


def build_index(folder: Path, total: int) -> dict:
    """The index of the archive; what it took."""
    from mmps.inference import LanceStore

    spent = Spent()
    store = LanceStore(folder)
    with spent:
        recall = store.build_index()
    notes = json.loads((folder / 'index.json').read_text())
    return dict(
        **spent.report(),
        disk_mb=disk_mb(folder),
        recall_of_people=recall,
        partitions=notes['partitions'],
        probes=notes['probes'],
    )


def lance_way(folder: Path, total: int, exhaustive: bool = True):
    from mmps.inference import LanceStore

    store = LanceStore(folder, exhaustive=exhaustive)
    return (
        lambda query, name, where: keys(store.search(query, TOP, where)),
        {},
    )


def index_way(folder: Path, total: int):
    return lance_way(folder, total, exhaustive=False)


def faiss_way(folder: Path, total: int):
    import faiss
    import numpy as np

    index = faiss.IndexFlatIP(DIMS)
    selectors, kept = {}, {name: [] for name in conditions()}
    spent = Spent()
    first = 0
    for vectors, _, sources in chunks(total):
        with spent:
            index.add(vectors)
        for name, where in conditions().items():
            if where is not None:
                rows = np.repeat(where.pictures(sources), PICTURE)
                kept[name].append(first + np.flatnonzero(rows[: len(vectors)]))
        first += len(vectors)
    for name, rows in kept.items():
        if rows:
            bits = np.zeros(total, bool)
            bits[np.concatenate(rows)] = True
            packed = np.packbits(bits, bitorder='little')
            selectors[name] = faiss.IDSelectorBitmap(packed), packed

    def search(query, name, where):
        params = None
        if name in selectors:
            params = faiss.SearchParameters(sel=selectors[name][0])
        _, rows = index.search(query[None], TOP, params=params)
        return [(int(r) // PICTURE, int(r)) for r in rows[0] if r >= 0]

    return search, spent.report()


def keys(matches) -> list:
    """What tells matches of different ways apart: the picture."""
    return [(match.position, None) for match in matches]


def disk_mb(folder: Path) -> float:
    files = [path for path in folder.rglob('*') if path.is_file()]
    return sum(path.stat().st_size for path in files) / 1e6


def measure(args: argparse.Namespace) -> dict:
    """One way, in this process: build it, or search it."""
    total = args.rows[0]
    place = Path(args.data) / f'{total}'
    if args.build:
        report = {'lance': build_lance, 'index': build_index}[args.one](
            place, total
        )
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return dict(**report, build_memory_mb=peak / 1e3)
    way = {
        'numpy': numpy_way,
        'lance': lance_way,
        'index': index_way,
        'faiss': faiss_way,
    }[args.one]
    asked = queries(args.queries, total)
    search, report = way(place, total)
    report.update(median_ms={}, cpu_ms={}, found={})
    for name, where in conditions().items():
        times, busy = [], []
        for _ in range(args.repeat):
            found = []
            for query in asked:
                begin, before = time.perf_counter(), time.process_time()
                found.append(search(query, name, where))
                times.append(time.perf_counter() - begin)
                busy.append(time.process_time() - before)
        report['median_ms'][name] = 1000 * statistics.median(times)
        report['cpu_ms'][name] = 1000 * statistics.median(busy)
        report['found'][name] = [
            [picture for picture, _ in matches] for matches in found
        ]
    status = Path('/proc/self/status').read_text().splitlines()
    line = next(line for line in status if line.startswith('VmRSS'))
    report['memory_mb'] = int(line.split()[1]) / 1e3
    return report


def compare(reports: dict[str, dict]) -> None:
    """Recall of the index; and exhaustive ways must agree."""
    exhaustive = [name for name in reports if name != 'index']
    for name in exhaustive[1:]:
        first = reports[exhaustive[0]]['found']
        if reports[name]['found'] != first:
            sys.exit(f'{name} and {exhaustive[0]} find different pictures')
    if 'index' in reports and exhaustive:
        whole = reports[exhaustive[0]]['found']
        for name, lists in reports['index']['found'].items():
            hits = sum(
                len(set(a) & set(b))
                for a, b in zip(lists, whole[name], strict=True)
            )
            reports['index'].setdefault('recall', {})[name] = hits / max(
                1, sum(len(set(b)) for b in whole[name])
            )
    for report in reports.values():
        del report['found']


def run_one(args: argparse.Namespace, way: str, rows: int) -> dict:
    """Report of a way; of an earlier call, if it was done then."""
    kept = Path(args.data) / f'{rows}-{way}.json'
    if kept.exists():
        return json.loads(kept.read_text())
    report = dict(load=round(os.getloadavg()[0], 1))
    builder = {'index': ['lance', 'index'], 'lance': ['lance']}
    for built in builder.get(way, []):
        told = Path(args.data) / f'{rows}-{built}-built.json'
        if not told.exists():
            write(told, run_step(args, built, rows, '--build'))
        if built == way:
            report.update(json.loads(told.read_text()))
    report.update(run_step(args, way, rows))
    write(kept, report)
    return report


def run_step(args, way: str, rows: int, *more: str) -> dict:
    told = subprocess.run(
        [
            *(sys.executable, __file__, '--one', way, '--rows', str(rows)),
            *('--queries', str(args.queries), '--repeat', str(args.repeat)),
            *('--data', args.data, *more),
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(told.stdout)


def write(path: Path, report: dict) -> None:
    from mmps.atomic_files import write_text

    write_text(path, json.dumps(report, indent=1) + '\n')


def main() -> None:
    args = parse_args()
    if args.one:
        print(json.dumps(measure(args)))
        return
    if args.data:
        Path(args.data).mkdir(parents=True, exist_ok=True)
        run(args)
        return
    with tempfile.TemporaryDirectory() as args.data:
        run(args)


def run(args: argparse.Namespace) -> None:
    from mmps.experiments.campaign import commit

    results = dict(
        dims=DIMS,
        top=TOP,
        queries=args.queries,
        repeat=args.repeat,
        cores=len(os.sched_getaffinity(0)),
        threads=os.environ.get('OMP_NUM_THREADS', 'default'),
        lance={key: os.environ[key] for key in os.environ if 'LANCE' in key},
        processor=platform.processor() or platform.machine(),
        date=date.today().isoformat(),
        commit=commit(),
        rows={},
    )
    for rows in args.rows:
        reports = {way: run_one(args, way, rows) for way in args.ways}
        compare(reports)
        results['rows'][rows] = reports
        for way, report in reports.items():
            times = ', '.join(
                f'{name} {spent:.1f} ms ({report["cpu_ms"][name]:.1f})'
                for name, spent in report['median_ms'].items()
            )
            print(
                f'{rows:>9} {way:>6}: {times}; '
                f'{report["memory_mb"]:.0f} MB of memory, built in '
                f'{report["build_s"]:.1f} s ({report["build_cpu_s"]:.1f})',
                flush=True,
            )
        if args.out:
            write(args.out, results)


if __name__ == '__main__':
    main()
