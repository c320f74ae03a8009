"""Train and test the networks of a plan; print its tables.

mmps campaign benchmarks/campaigns/qeeps_synth.yml --amp
mmps campaign benchmarks/campaigns/qeeps_synth.yml --tables
mmps campaign benchmarks/campaigns/crowded.yml --sweep OIM18 --out fig1.png

Results are kept beside the plan, one JSON file for each run and seed, and are
not repeated; weights and logs go to work_dirs. Interrupted runs are resumed:
Ctrl-C lets the current one save.
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may be given."""
    parser.add_argument('plan', type=Path, help='YAML file')
    parser.add_argument(
        '--seeds', nargs='+', type=int, default=[0, 1, 2], help='[0 1 2]'
    )
    parser.add_argument(
        '--only', nargs='+', metavar='RUN', help='these runs [all]'
    )
    parser.add_argument(
        '--work-dir', type=Path, help='[work_dirs/<name of the plan>]'
    )
    parser.add_argument(
        '--results', type=Path, help='[a folder beside the plan]'
    )
    parser.add_argument(
        '--amp', action='store_true', help='train in mixed precision'
    )
    parser.add_argument(
        '--train-only', action='store_true', help='test nothing yet'
    )
    parser.add_argument(
        '--tables', action='store_true', help='print tables, run nothing'
    )
    parser.add_argument(
        '--sweep', metavar='NAME', help='draw a sweep of what has been run'
    )
    parser.add_argument(
        '--out', type=Path, help='picture of the sweep, .png or .pdf'
    )


def run(args: argparse.Namespace) -> None:
    """Carry the plan out, or show what it gave so far."""
    from mmps.errors import InputError

    if (args.sweep is None) != (args.out is None):
        raise InputError('--sweep and --out', 'belong together', 'Give both')
    from mmps.experiments.campaign import Campaign, read_plan
    from mmps.experiments.children import CHILDREN

    campaign = Campaign(
        read_plan(args.plan),
        args.work_dir or Path('work_dirs') / args.plan.stem,
        args.results or args.plan.with_suffix(''),
        args.amp,
    )
    if args.sweep:
        campaign.draw(args.sweep, args.out)
        print(f'wrote {args.out}')
        return
    if not args.tables:
        with CHILDREN.handing_on_signals():
            campaign.run_all(args.seeds, args.only, test=not args.train_only)
    print(campaign.tables())
