"""Run the whole suite again and again: a test that fails once is flaky."""

import multiprocessing
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

from .trial import Trial

ROOT = Path(__file__).parents[2]
#: Each so many runs other programs want the processors, too.
LOADED = 4
#: As `make test` runs them.
SUITE = (
    *('-q', '-n', '2', '--dist', 'loadfile', '--no-loadscope-reorder'),
    *('-m', 'not long'),
)


def attack(trial: Trial) -> str:
    """Each case is one run of all tests."""
    for number, _ in trial.each():
        report = trial.folder / f'{number}.xml'
        busy = number % LOADED == 0
        with trial.attempt(number), _load(2 if busy else 0):
            num, failed = _run(report)
            trial.figures[str(number)] = f'{num:,}' + ' beside a load' * busy
            assert not failed, f'{len(failed)} failed: {", ".join(failed)}'
    counts = [
        int(seen.split()[0].replace(',', ''))
        for seen in trial.figures.values()
    ]
    loaded = sum('load' in seen for seen in trial.figures.values())
    return (
        f'{min(counts):,} to {max(counts):,} tests a run; {loaded} runs '
        'beside a competing load'
    )


def _run(report: Path) -> tuple[int, list[str]]:
    """How many tests passed, and the names of those that did not."""
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', f'--junitxml={report}', *SUITE],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert report.is_file(), done.stdout[-400:] + done.stderr[-400:]
    cases = list(ElementTree.parse(report).iter('testcase'))
    failed = [
        f'{case.get("classname")}::{case.get("name")}'
        for case in cases
        if case.find('failure') is not None or case.find('error') is not None
    ]
    skipped = sum(case.find('skipped') is not None for case in cases)
    return len(cases) - len(failed) - skipped, failed


@contextmanager
def _load(processes: int) -> Iterator[None]:
    """Processes that compute all the time, for as long as the context."""
    started = [
        multiprocessing.Process(target=_compute, daemon=True)
        for _ in range(processes)
    ]
    for each in started:
        each.start()
    try:
        yield
    finally:
        for each in started:
            each.kill()
            each.join()


def _compute() -> None:
    while True:
        sum(range(10**6))
