"""Train and test the networks of a plan; print its tables.

    python tools/campaign.py benchmarks/campaigns/qeeps_synth.yml --amp
    python tools/campaign.py benchmarks/campaigns/qeeps_synth.yml --tables
    python tools/campaign.py benchmarks/campaigns/crowded.yml \\
        --sweep OIM18 --out fig1.png

Results are kept beside the plan, one JSON file a run and seed, and are not
repeated; weights and logs go to work_dirs. Interrupted runs are resumed:
Ctrl-C lets the running one save.
"""

import argparse
from pathlib import Path


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('plan', type=Path, help='YAML file')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1, 2])
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
        '--sweep', metavar='NAME', help='draw one of what has been run'
    )
    parser.add_argument('--out', type=Path, help='its .png or .pdf')
    args = parser.parse_args()
    if (args.sweep is None) != (args.out is None):
        parser.error('--sweep and --out belong together')
    return args


def main() -> None:
    args = parse_args()
    from mmps.experiments.campaign import Campaign, read_plan
    from mmps.experiments.children import CHILDREN

    try:
        plan = read_plan(args.plan)
    except (OSError, ValueError) as error:
        raise SystemExit(f'campaign.py: {error}') from None
    campaign = Campaign(
        plan,
        args.work_dir or Path('work_dirs') / args.plan.stem,
        args.results or args.plan.with_suffix(''),
        args.amp,
    )
    if args.sweep:
        try:
            campaign.draw(args.sweep, args.out)
        except ValueError as error:
            raise SystemExit(f'campaign.py: {error}') from None
        print(f'Picture: {args.out}')
        return
    if not args.tables:
        with CHILDREN.handing_on_signals():
            campaign.run_all(args.seeds, args.only, test=not args.train_only)
    print(campaign.tables())


if __name__ == '__main__':
    main()
