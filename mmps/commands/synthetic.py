"""Make a synthetic person search data set in a published layout.

mmps synthetic --layout cuhk-sysu --size tiny --out data/synth-tiny
mmps synthetic --layout cuhk-sysu --size small --out data/synth-small

The seed determines every byte. The folder appears whole or not at all.
"""

import argparse
import os
import signal
import sys

from .arguments import at_least


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    parser.add_argument(
        '--layout', required=True, choices=('cuhk-sysu', 'prw')
    )
    parser.add_argument(
        '--size',
        default='tiny',
        choices=('tiny', 'small', 'large'),
        help='large has the counts of the real data set, in small pictures '
        '[%(default)s]',
    )
    parser.add_argument(
        '--scenes',
        default='plain',
        choices=('plain', 'crowded'),
        help='crowded: small people in groups who hide one another, at dusk, '
        'among statues; fewer pictures for training [%(default)s]',
    )
    parser.add_argument(
        '--seed', type=at_least(0), default=0, help='[%(default)s]'
    )
    parser.add_argument('--out', required=True, help='folder to make')
    parser.add_argument(
        '--jobs',
        type=at_least(1),
        default=_cores(),
        help='processes that draw [all cores]',
    )


def _cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run(args: argparse.Namespace) -> None:
    """Draw."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # clean up
    from mmps.synthetic import generate

    made = generate(
        args.layout,
        args.size,
        args.seed,
        args.out,
        args.jobs,
        args.scenes,
    )
    print(f'{args.out}: {"made" if made else "already there, whole"}')
