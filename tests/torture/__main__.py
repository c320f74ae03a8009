"""Attack what the project promises, with a seed and a limit of time.

    make torture                          all campaigns, hours
    python -m tests.torture --list        their names
    python -m tests.torture checkpoints --share 0.01
    python -m tests.torture checkpoints --case 4711
    python -m tests.torture suite --go-on

Each campaign runs in a process of its own and writes a small JSON file, and
docs/reliability.md is made of these. The exit status is 1 if a promise broke
or a campaign ran out of time.
"""

import argparse
import contextlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from tests.commit import commit

from .campaigns import CAMPAIGNS, attack
from .table import KEPT, verdict, write_page
from .trial import Trial

ROOT = Path(__file__).parents[2]
#: Of the descriptions of what broke, how many are printed.
SHOWN = 10


def main() -> int:
    """Run the campaigns that were asked for, and print a table."""
    args = _parsed()
    if args.page:
        write_page()
        return 0
    if args.list:
        for name, campaign in CAMPAIGNS.items():
            print(f'{name:15} {campaign.cases:6} cases  {campaign.promise}')
        return 0
    names = args.names or list(CAMPAIGNS)
    if args.here:
        _run_here(names[0], args)
        return 0
    args.out.mkdir(parents=True, exist_ok=True)
    results = []
    for name in names:
        print(f'[torture] {name}: {CAMPAIGNS[name].promise}', flush=True)
        result = _run(name, args)
        results.append(result)
        for number, text in result['broken'][:SHOWN]:
            print(f'  case {number}: {text}')
        if len(result['broken']) > SHOWN:
            print(f'  and {len(result["broken"]) - SHOWN} more')
    for result in results:
        print(
            f'{result["name"]:15} {verdict(result):11} {result["done"]:6} of '
            f'{result["cases"]} cases, {result["seconds"]:.0f} s: '
            f'{result["seen"]}'
        )
    return int(any(verdict(result) != 'kept' for result in results))


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m tests.torture',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('names', nargs='*', metavar='NAME', help='of --list')
    parser.add_argument('--list', action='store_true')
    parser.add_argument(
        '--page',
        action='store_true',
        help='write the table of docs/reliability.md, from the kept results',
    )
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--share',
        type=float,
        default=1.0,
        help='of the cases of a campaign, for a look',
    )
    parser.add_argument('--case', type=int, help='one case alone')
    parser.add_argument(
        '--go-on',
        action='store_true',
        help='do what an earlier run into the same folder left; the result '
        'names the commits of both',
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=ROOT / 'work_dirs' / 'torture',
        help=f'folder of the results; {KEPT.relative_to(ROOT)} for those that '
        'docs/reliability.md shows',
    )
    parser.add_argument('--here', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args()
    unknown = set(args.names) - set(CAMPAIGNS)
    if unknown:
        parser.error(f'no campaign {", ".join(sorted(unknown))}: see --list')
    others = [
        name
        for name in args.names or CAMPAIGNS
        if args.go_on and not CAMPAIGNS[name].goes_on
    ]
    if others:
        parser.error(
            f'{", ".join(others)}: runs in one go, and takes no --go-on'
        )
    return args


def _run(name: str, args: argparse.Namespace) -> dict:
    """Run a campaign in its process; one that hangs is killed."""
    campaign = CAMPAIGNS[name]
    path = args.out / f'{name}.json'
    if not args.go_on:
        path.unlink(missing_ok=True)
    command = [sys.executable, '-m', 'tests.torture', name, '--here']
    command += ['--seed', str(args.seed), '--share', str(args.share)]
    command += ['--out', str(args.out)]
    if args.case is not None:
        command += ['--case', str(args.case)]
    if args.go_on:
        command.append('--go-on')
    child = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    wrong = 'it hung, and was killed'
    try:
        code = child.wait(60 * campaign.minutes * 1.5 + 120)
        wrong = f'its process ended with {code}' if code else None
    except subprocess.TimeoutExpired:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    if not path.is_file():
        raise SystemExit(f'{name}: {wrong or "no result"}, see above')
    result = json.loads(path.read_text())
    if wrong:
        result['broken'].append([result['done'], wrong])
        _write(path, result)
    return result


def _run_here(name: str, args: argparse.Namespace) -> None:
    """Run a campaign; what is done so far is always in its file."""
    campaign = CAMPAIGNS[name]
    path = args.out / f'{name}.json'
    cases = max(1, round(campaign.cases * args.share))
    if args.case is not None:
        cases = 1
    whole = args.share == 1 and args.case is None
    begun, code = time.monotonic(), commit()
    before = _before(path, args, cases)
    if code not in before['commit']:
        before['commit'].append(code)

    def write(seen: str = 'not at its end') -> None:
        _write(
            path,
            {
                'name': name,
                'promise': campaign.promise,
                'reach': campaign.reach,
                'cases': cases,
                'done': trial.done,
                'broken': trial.broken,
                'seen': seen,
                'figures': trial.figures,
                'seed': args.seed,
                'seconds': round(
                    before['seconds'] + time.monotonic() - begun, 1
                ),
                'whole': whole,
                'processor': platform.machine(),
                'python': platform.python_version(),
                'date': date.today().isoformat(),
                'commit': ', '.join(before['commit']),
            },
        )

    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(
            *(args.seed, cases, Path(folder), campaign.minutes, args.case),
            done=before['done'],
            broken=before['broken'],
            figures=before['figures'],
            on_case=write,
        )
        write()
        seen = attack(name, trial)
    write(seen)


def _before(path: Path, args: argparse.Namespace, cases: int) -> dict:
    """What an earlier run did, if this one goes on with it."""
    if not args.go_on or not path.is_file():
        return dict(done=0, broken=[], figures={}, seconds=0, commit=[])
    result = json.loads(path.read_text())
    if (result['seed'], result['cases']) != (args.seed, cases):
        raise SystemExit(f'{path}: is of another seed or share')
    return result | dict(commit=result['commit'].split(', '))


def _write(path: Path, result: dict) -> None:
    path.write_text(json.dumps(result, indent=1) + '\n')


if __name__ == '__main__':
    sys.exit(main())
