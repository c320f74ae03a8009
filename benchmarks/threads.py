"""Threads of a training, on a quiet machine and beside other programs.

    python benchmarks/threads.py --data data/synth-tiny

Runs the real command, ``tools/train.py`` for one epoch, with one and with
several OpenMP threads, which wait busily (the default) or asleep (passive),
while none, one or two other processes calculate. The settings take turns; a
step is the median of all steps of all rounds but the first ten of a run.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

CONFIG = 'configs/kd/oim_r18_oim50_quick.py'
ROOT = Path(__file__).parents[1]
WARM_UP = 10


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--data', default='data/synth-tiny')
    parser.add_argument(
        '--threads', nargs='+', type=int, default=[1, os.cpu_count() or 1]
    )
    parser.add_argument('--others', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--rounds', type=int, default=3)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    settings = [
        (threads, policy)
        for threads in args.threads
        for policy in (('default', 'passive') if threads > 1 else ('passive',))
    ]
    steps = {}
    for _ in range(args.rounds):
        for others in args.others:
            for setting in settings:
                with busy(others):
                    found = steps_of(*setting, args.data)
                steps.setdefault((others, setting), []).extend(found)
    print(f'{os.cpu_count()} cores; seconds a step, median; in brackets the')
    print('slowest tenth; and how many times one thread')
    for others in args.others:
        base = statistics.median(steps[others, settings[0]])
        for setting in settings:
            found = sorted(steps[others, setting])
            middle = statistics.median(found)
            slow = found[-1 - len(found) // 10]
            threads, policy = setting
            waits = f' {policy:8}' if threads > 1 else ' ' * 9
            print(
                f'{others} other processes, {threads} threads{waits}'
                f'{middle:7.3f} ({slow:.3f}) {middle / base:6.2f}'
            )


@contextmanager
def busy(count: int):
    """Run ``count`` processes that multiply matrices on one thread each."""
    program = (
        'import numpy as np\nx = np.ones((300, 300))\nwhile True: x @ x / 300'
    )
    environment = dict(os.environ, OPENBLAS_NUM_THREADS='1')
    processes = [
        subprocess.Popen([sys.executable, '-c', program], env=environment)
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def steps_of(threads: int, policy: str, data: str) -> list[float]:
    """Train for an epoch; return the seconds of its steps."""
    environment = dict(
        os.environ,
        OMP_NUM_THREADS=str(threads),
        OMP_WAIT_POLICY=policy.upper(),
        PYTHONPATH=str(ROOT),
    )
    if policy == 'default':
        del environment['OMP_WAIT_POLICY']
    with tempfile.TemporaryDirectory() as work:
        command = [
            *(sys.executable, 'tools/train.py', CONFIG, '--work-dir', work),
            *('--cfg-options', 'train_cfg.max_epochs=1'),
            *('train_cfg.val_begin=1000', 'log_processor.window_size=1'),
            'default_hooks.logger.interval=1',
            f'train_dataloader.dataset.data_root={data}',
        ]
        subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        (log,) = Path(work).glob('*/vis_data/scalars.json')
        lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line['time'] for line in lines if 'time' in line][WARM_UP:]


if __name__ == '__main__':
    main()
