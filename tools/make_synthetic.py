"""Make a synthetic person search data set in a published layout.

    python tools/make_synthetic.py --layout cuhk-sysu --size tiny \
        --out data/synthetic/cuhk-sysu-tiny

It is deterministic by seed, and either whole or not there at all.
"""

import argparse
import os
import signal
import sys


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--layout', required=True, choices=('cuhk-sysu', 'prw')
    )
    parser.add_argument(
        '--size',
        default='tiny',
        choices=('tiny', 'small', 'large'),
        help='large has the counts of the real data set, in small pictures',
    )
    parser.add_argument(
        '--scenes',
        default='plain',
        choices=('plain', 'crowded'),
        help='crowded: small people in groups who hide one another, at dusk, '
        'among statues; fewer pictures for training [plain]',
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--out', required=True, help='folder to make')
    parser.add_argument(
        '--jobs',
        type=int,
        default=_cores(),
        help='processes that draw (default: all cores)',
    )
    args = parser.parse_args()
    if args.jobs < 1:
        parser.error(f'--jobs must be at least 1, got {args.jobs}')
    if args.seed < 0:
        parser.error(f'--seed must be at least 0, got {args.seed}')
    return args


def _cores() -> int:
    """Return the cores that this process may use."""
    if hasattr(os, 'sched_getaffinity'):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def main() -> int:
    args = parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # clean up
    # after the arguments: a wrong one is told at once
    from mmps.synthetic import ExistsError, generate

    try:
        made = generate(
            args.layout,
            args.size,
            args.seed,
            args.out,
            args.jobs,
            args.scenes,
        )
    except ExistsError as error:
        print(f'error: {error}', file=sys.stderr)
        return 1
    print(f'{args.out}: {"made" if made else "already there, whole"}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
