"""Parameters, MACs and speed of networks, side by side.

    python tools/analyze.py configs/oim/oim_r50.py configs/oim/oim_r18.py
    python tools/analyze.py configs/qeeps/qeeps_r50.py \\
        configs/oim/oim_r18.py --repeats 0         # nothing is timed

The table is Markdown; percentages are of the first config. A MAC is one
multiplication with its addition. Query-guided networks are run on a whole
pair, query and gallery image, of which nothing is kept from before; others on
one image. Weights are drawn, nothing is downloaded.
"""

import argparse
import dataclasses
import json
from pathlib import Path


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('configs', nargs='+', help='config files')
    parser.add_argument(
        '--shape',
        nargs=2,
        type=int,
        default=[600, 800],
        metavar=('HEIGHT', 'WIDTH'),
        help='of the image that the network is fed [600 800]',
    )
    parser.add_argument(
        '--repeats',
        type=int,
        default=3,
        help='times that are taken, the median is shown [%(default)s]',
    )
    parser.add_argument(
        '--device', default='cpu', help='such as cuda [%(default)s]'
    )
    parser.add_argument('--out', type=Path, help='write a JSON file')
    args = parser.parse_args()
    if min(args.shape) < 32 or args.repeats < 0:
        parser.error('--shape is at least 32 32, --repeats at least 0')
    return args


def main() -> None:
    args = parse_args()
    from mmps.apis import load_config
    from mmps.atomic_files import write_text
    from mmps.experiments.analysis import analyze, table

    shape = tuple(args.shape)
    results = {}
    for config in args.configs:
        cfg = load_config(config)
        results[Path(config).stem] = analyze(
            cfg, shape, args.repeats, args.device
        )
    print(table(results, shape))
    if args.repeats:
        import torch

        print(
            f'\ntimes: median of {args.repeats} on {args.device}, torch '
            f'{torch.__version__}, {torch.get_num_threads()} threads'
        )
    if args.out:
        plain = {
            name: dataclasses.asdict(result)
            for name, result in results.items()
        }
        write_text(args.out, json.dumps(plain, indent=1) + '\n')
        print(f'wrote {args.out}')


if __name__ == '__main__':
    main()
