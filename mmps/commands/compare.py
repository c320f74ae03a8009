"""Train and test several configs with several seeds; print mean and spread.

mmps compare oim_r18_tiny oim_r18_w0.1_tiny --seeds 0 1 2 --jobs 2 \\
    --work-dir work_dirs/compare --protocol G50

Every run has a folder of its own. Finished runs are not repeated and
interrupted ones are resumed: Ctrl-C lets the current ones save. The table is
Markdown, in percent: mean and sample standard deviation over the seeds.
"""

import argparse
from pathlib import Path

from .arguments import add_runs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    parser.add_argument(
        'configs', nargs='+', help='paths of configs, or names of mmps'
    )
    parser.add_argument(
        '--seeds', nargs='+', type=int, default=[0, 1, 2], help='[0 1 2]'
    )
    parser.add_argument(
        '--work-dir', type=Path, required=True, help='a folder for each run'
    )
    parser.add_argument('--protocol', required=True, help='such as G50')
    add_runs(parser)


def run(args: argparse.Namespace) -> None:
    """Run, and print the table."""
    from mmps.configs import config_name, find_config
    from mmps.experiments.compare import Runner, comparison_table, run_all

    for config in args.configs:
        find_config(config)  # before the first of them runs for hours
    runner = Runner(args.work_dir, args.cfg_options, args.amp)
    results = {config_name(config): [] for config in args.configs}
    total = len(args.configs) * len(args.seeds)
    runs = run_all(runner, args.configs, args.seeds, args.jobs)
    for number, (config, seed, result) in enumerate(runs, 1):
        results[config_name(config)].append(result)
        search = result.get(f'{args.protocol}/mAP', float('nan'))
        print(
            f'[{number}/{total}] {config} seed {seed}: '
            f'mAP {search:.4f}, recall {result["det/recall"]:.4f}',
            flush=True,
        )
    print(comparison_table(results, args.protocol))
