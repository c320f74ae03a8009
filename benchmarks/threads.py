"""Speed of training with threads and processes, also beside other programs.

    python benchmarks/threads.py --data data/synth-tiny

Runs the real command, ``tools/train.py`` for one epoch, on one thread, on
several that wait for each other busily (what OpenMP does) or asleep (what mmps
asks it to do), and in as many processes of one thread, while none, one or two
other programs calculate. The settings take turns; a step is the median of all
steps of all rounds but the first ten of a run.
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
from typing import NamedTuple

CONFIG = 'configs/kd/oim_r18_oim50_quick.py'
BATCH = 4  # of the config
ROOT = Path(__file__).parents[1]
WARM_UP = 10
ASLEEP = dict(OMP_WAIT_POLICY='PASSIVE')
#: What libgomp does if the policy is not set.
BUSILY = dict(OMP_WAIT_POLICY='ACTIVE', GOMP_SPINCOUNT='300000')


class Setting(NamedTuple):
    """How a training uses the cores."""

    label: str
    processes: int
    threads: int
    waiting: dict[str, str]


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('--data', default='data/synth-tiny')
    parser.add_argument(
        '--cores',
        type=int,
        choices=(2, 4),
        default=2,
        help='threads or processes of a training [%(default)s]',
    )
    parser.add_argument('--others', nargs='+', type=int, default=[0, 1, 2])
    parser.add_argument('--rounds', type=int, default=3)
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    settings = (
        Setting('one thread', 1, 1, ASLEEP),
        Setting(f'{args.cores} threads, busily', 1, args.cores, BUSILY),
        Setting(f'{args.cores} threads, asleep', 1, args.cores, ASLEEP),
        Setting(f'{args.cores} processes', args.cores, 1, ASLEEP),
    )
    steps = {}
    for _ in range(args.rounds):
        for others in args.others:
            for setting in settings:
                with busy(others):
                    found = steps_of(setting, args.data)
                steps.setdefault((others, setting.label), []).extend(found)
    print(f'{os.cpu_count()} cores; seconds a step, median; in brackets the')
    print('slowest tenth; and how many times one thread')
    for others in args.others:
        base = statistics.median(steps[others, settings[0].label])
        for setting in settings:
            found = sorted(steps[others, setting.label])
            middle = statistics.median(found)
            slow = found[-1 - len(found) // 10]
            print(
                f'{others} other programs, {setting.label:17}'
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


def steps_of(setting: Setting, data: str) -> list[float]:
    """Train for an epoch; return the seconds of its steps."""
    environment = dict(
        os.environ,
        **setting.waiting,
        OMP_NUM_THREADS=str(setting.threads),
        PYTHONPATH=str(ROOT),
    )
    with tempfile.TemporaryDirectory() as work:
        command = [
            'tools/train.py',
            CONFIG,
            '--work-dir',
            work,
            *('--launcher', 'none' if setting.processes == 1 else 'pytorch'),
            '--cfg-options',
            'train_cfg.max_epochs=1',
            'train_cfg.val_begin=1000',
            'log_processor.window_size=1',
            'default_hooks.logger.interval=1',
            f'train_dataloader.batch_size={BATCH // setting.processes}',
            f'train_dataloader.dataset.data_root={data}',
        ]
        if setting.processes > 1:
            processes = f'--nproc_per_node={setting.processes}'
            launcher = ('tools/torchrun.py', '--standalone', processes)
            command = [*launcher, *command]
        subprocess.run(
            [sys.executable, *command],
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
