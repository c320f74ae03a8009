"""Pictures a second at which an archive is built: torch, ONNX and int8.

    mmps export zoo://oim_r18_qeeps50_synth --out exported \\
        --int8 data/synth-small/Image/SSM
    python benchmarks/archive_building.py zoo://oim_r18_qeeps50_synth \\
        exported data/synth-small/Image/SSM --out building.json

One or two processes share the files of one archive, as those of `mmps archive
add` do, each with one thread; all of it counts: reading, the network, claims
and commits. The clock begins when all have loaded their network, which is
shown as the start. Commits lie 2 seconds apart instead of 20, so that two
processes end together with few pictures. The contenders take turns, and the
result is written after each.

Seconds are by the clock, so the machine should be quiet; those of the
processor, all processes together, are shown as well. Needs mmps[store].
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

#: Loads the network, says so, waits for a line, adds, and tells its seconds.
WORKER = """
import sys, time, lancedb
from mmps.inference import Origins, PersonSearchInferencer
from mmps.inference.archive import ArchiveWriter
inferencer = PersonSearchInferencer(sys.argv[2])
writer = ArchiveWriter(sys.argv[1], sys.argv[3:], Origins())
print('\\n spent', time.process_time(), flush=True)
sys.stdin.readline()
writer.add(inferencer, seconds=2)
print('\\n spent', time.process_time(), flush=True)
"""


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('model', help='zoo://NAME')
    parser.add_argument('folder', type=Path, help='of the exported network')
    parser.add_argument('pictures', type=Path, help='folder of images')
    parser.add_argument('--num', type=int, default=200, help='pictures')
    parser.add_argument('--processes', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--out', type=Path, help='write numbers as JSON')
    return parser.parse_args(argv)


def built(model, files, processes):
    """Build an archive, and throw it away.

    Args:
        model: As of ``--model``.
        files: Paths.
        processes: That share them.

    Returns:
        Seconds by the clock of the start and of the building, and of the
        processor of the building.
    """
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / 'archive'
        begin = time.perf_counter()
        workers = [
            subprocess.Popen(
                [sys.executable, '-c', WORKER, store, model, *files],
                env=dict(os.environ, OMP_NUM_THREADS='1'),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for _ in range(processes)
        ]
        before = [told(worker) for worker in workers]
        ready = time.perf_counter()
        for worker in workers:
            worker.stdin.write('\n')
            worker.stdin.flush()
        after = [told(worker) for worker in workers]
        spent = time.perf_counter() - ready
        for worker in workers:
            worker.communicate()
        check(store, files)
    return ready - begin, spent, sum(after) - sum(before)


def told(worker):
    """The next number that a worker prints."""
    for line in worker.stdout:  # among those of a log
        if line.startswith(' spent'):
            return float(line.split()[1])
    sys.exit(f'a process ended with {worker.wait()}')


def check(store, files):
    """Every file must be in the archive."""
    from mmps.inference import LanceStore

    records = LanceStore(store).records()
    there = {file for file, record in records.items() if record.done}
    if there != set(files):
        sys.exit(f'{store} holds {len(there)} of {len(files)} files')


def contenders(args):
    """Name -> what is given as the model."""
    found = {'torch': args.model, 'ONNX float32': str(args.folder)}
    if (args.folder / 'int8').is_dir():
        found['ONNX int8'] = str(args.folder / 'int8')
    return found


def figures(runs, num):
    """Medians of the repeats.

    Args:
        runs: As of ``built``, of each repeat.
        num: Pictures.
    """
    starts, spent, busy = zip(*runs, strict=True)
    return dict(
        pictures_per_second=num / statistics.median(spent),
        cpu_ms_per_picture=1000 * statistics.median(busy) / num,
        start_s=statistics.median(starts),
        runs=[[round(value, 2) for value in run] for run in runs],
    )


def main(argv=None):
    args = parse_args(argv)
    from mmps.experiments.campaign import commit

    files = sorted(map(str, args.pictures.resolve().iterdir()))[: args.num]
    result = dict(
        model=args.model,
        pictures=len(files),
        cores=len(os.sched_getaffinity(0)),
        processor=platform.processor() or platform.machine(),
        load=round(os.getloadavg()[0], 1),
        date=date.today().isoformat(),
        commit=commit(),
    )
    runs = {
        (name, processes): []
        for name in contenders(args)
        for processes in args.processes
    }
    for _ in range(args.repeats):
        for (name, processes), done in runs.items():
            done.append(built(contenders(args)[name], files, processes))
        result['rows'] = [
            dict(name=name, processes=num, **figures(done, len(files)))
            for (name, num), done in runs.items()
        ]
        if args.out is not None:
            args.out.write_text(json.dumps(result, indent=1) + '\n')
    print(
        '| network | processes | pictures a second '
        '| CPU a picture (ms) | start (s) |'
    )
    print('| --- | --- | --- | --- | --- |')
    for row in result['rows']:
        print(
            f'| {row["name"]} | {row["processes"]} '
            f'| {row["pictures_per_second"]:.1f} '
            f'| {row["cpu_ms_per_picture"]:.0f} | {row["start_s"]:.1f} |'
        )


if __name__ == '__main__':
    sys.exit(main())
