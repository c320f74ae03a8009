"""Pictures a second at which an archive is built: torch, ONNX and int8.

    mmps export zoo://oim_r18_qeeps50_synth --out exported \\
        --int8 data/synth-small/Image/SSM
    python benchmarks/archive_building.py zoo://oim_r18_qeeps50_synth \\
        exported data/synth-small/Image/SSM --out building.json

Starts `mmps archive add` once or twice on the same folder, each process with
one thread, as on a machine with two cores; all of it counts: reading, the
network, claims and commits. The contenders take turns. A run with few
pictures is subtracted from one with many, so that the rate is that of a long
run, without the start of Python and the network; what is subtracted is shown
as the start. `--seconds 2` instead of 20 lets two processes end together
with few pictures.

Seconds are by the clock, so the machine should be quiet; those of the
processor, all processes together, are shown as well. Needs mmps[store].
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
from datetime import date
from pathlib import Path

#: Pictures of the short run: one batch.
FEW = 8


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
    """Seconds by the clock, and of the processor, to build an archive.

    Args:
        model: As of ``--model``.
        files: Paths.
        processes: That share them.
    """
    folder = Path(tempfile.mkdtemp())
    store = folder / 'archive'
    command = [sys.executable, '-m', 'mmps', 'archive', 'add', store, *files]
    command += ['--model', model, '--seconds', '2']
    begin, before = time.perf_counter(), busy()
    started = [
        subprocess.Popen(
            command,
            env=dict(os.environ, OMP_NUM_THREADS='1'),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(processes)
    ]
    codes = [process.wait() for process in started]
    spent = time.perf_counter() - begin, busy() - before
    if any(codes):
        sys.exit(f'{command[:6]} ... ended with {codes}')
    check(store, files)
    shutil.rmtree(folder)
    return spent


def busy():
    """Seconds of the processor of all children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def check(store, files):
    """Every file must be in the archive."""
    from mmps.inference import LanceStore

    records = LanceStore(store).records()
    there = {file for file, record in records.items() if record.done}
    if there != set(files):
        sys.exit(f'{store} holds {len(there)} of {len(files)} files')


def measure(args):
    """Name and number of processes -> figures."""
    files = sorted(map(str, args.pictures.resolve().iterdir()))[: args.num]
    models = {'torch': args.model, 'ONNX float32': str(args.folder)}
    if (args.folder / 'int8').is_dir():
        models['ONNX int8'] = str(args.folder / 'int8')
    times = {
        (name, processes): []
        for name in models
        for processes in args.processes
    }
    for _ in range(args.repeats):
        for (name, processes), rows in times.items():
            few = built(models[name], files[:FEW], processes)
            rows.append((few, built(models[name], files, processes)))
    return [
        dict(name=name, processes=processes, **figures(rows, len(files)))
        for (name, processes), rows in times.items()
    ]


def figures(rows, num):
    """Medians of the repeats.

    Args:
        rows: Of each repeat, wall and busy seconds of the short run, and of
            the long one.
        num: Pictures of the long run.
    """

    def median(values):
        return statistics.median(values)

    more = num - FEW
    return dict(
        pictures_per_second=median(
            more / (long[0] - few[0]) for few, long in rows
        ),
        cpu_ms_per_picture=median(
            1000 * (long[1] - few[1]) / more for few, long in rows
        ),
        start_s=median(few[0] for few, _ in rows),
        start_cpu_s=median(few[1] for few, _ in rows),
        wall_s=[round(long[0], 2) for _, long in rows],
    )


def main(argv=None):
    args = parse_args(argv)
    from mmps.experiments.campaign import commit

    load = os.getloadavg()[0]
    rows = measure(args)
    print(
        '| network | processes | pictures a second '
        '| CPU a picture (ms) | start (s) |'
    )
    print('| --- | --- | --- | --- | --- |')
    for row in rows:
        print(
            f'| {row["name"]} | {row["processes"]} '
            f'| {row["pictures_per_second"]:.1f} '
            f'| {row["cpu_ms_per_picture"]:.0f} | {row["start_s"]:.1f} |'
        )
    if args.out is not None:
        result = dict(
            model=args.model,
            pictures=args.num,
            repeats=args.repeats,
            cores=len(os.sched_getaffinity(0)),
            processor=platform.processor() or platform.machine(),
            load=round(load, 1),
            date=date.today().isoformat(),
            commit=commit(),
            rows=rows,
        )
        args.out.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
    sys.exit(main())
