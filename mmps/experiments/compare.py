"""Train and test several configs with several seeds.

Every run has a folder of its own. Finished runs are not repeated, interrupted
ones are resumed.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mmps.configs import config_name

from .campaign import call
from .children import CHILDREN
from .tables import markdown, mean_and_deviation


@dataclass(frozen=True)
class Runner:
    """Trains and tests a config with a seed.

    Attributes:
        work_dir: Holds a folder for each run.
        options: KEY=VALUE for all runs, as ``--cfg-options`` of ``mmps
            train``.
        amp: Whether to train in mixed precision.
    """

    work_dir: Path
    options: Sequence[str] = ()
    amp: bool = False

    def run(
        self,
        config: str,
        seed: int,
        name: str | None = None,
        options: Sequence[str] = (),
    ) -> dict[str, float]:
        """Train and test once, or read the result of an earlier time.

        Args:
            config: Path or name.
            seed: Of the run.
            name: Of the run's folder, without the seed; that of the config if
                None.
            options: KEY=VALUE for this run.

        Returns:
            What ``mmps test --out`` writes.
        """
        work = self.work_dir / f'{name or config_name(config)}_seed{seed}'
        result = work / 'result.json'
        options = [f'randomness.seed={seed}', *options, *self.options]
        if not result.exists():
            # the test comes last, on its own
            train = ['train_cfg.val_begin=100000', *options]
            amp = ['--amp'] if self.amp else []
            call(
                *('train', work, config, '--resume', *amp),
                *('--cfg-options', *train),
            )
            checkpoint = (work / 'last_checkpoint').read_text().strip()
            call(
                *('test', work, config, checkpoint, '--out', str(result)),
                *('--cfg-options', *options),
            )
        return json.loads(result.read_text())


@contextmanager
def several_at_a_time(jobs: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that each run a tool; a signal lets the tools save and end.

    Args:
        jobs: Runs at a time; with more than one, each takes one core unless
            ``OMP_NUM_THREADS`` says otherwise.
    """
    if jobs > 1:
        os.environ.setdefault('OMP_NUM_THREADS', '1')
    with CHILDREN.handing_on_signals(), ThreadPoolExecutor(jobs) as pool:
        yield pool


def run_all(
    runner: Runner, configs: Sequence[str], seeds: Sequence[int], jobs: int
) -> Iterator[tuple[str, int, dict[str, float]]]:
    """Run every config with every seed.

    Args:
        runner: Runs them.
        configs: Paths or names.
        seeds: Of each config.
        jobs: Runs at a time.

    Yields:
        Config, seed and result, seed after seed.
    """
    tasks = [(config, seed) for seed in seeds for config in configs]
    with several_at_a_time(jobs) as pool:
        results = pool.map(lambda task: runner.run(*task), tasks)
        for task, result in zip(tasks, results, strict=True):
            yield *task, result


def comparison_table(
    results: Mapping[str, Sequence[dict]], protocol: str
) -> str:
    """Markdown: a line per config, in percent.

    Args:
        results: Label -> results of its seeds.
        protocol: Whose search figures are shown, such as 'G50'.
    """
    figures = {
        'search mAP': f'{protocol}/mAP',
        'top-1': f'{protocol}/top-1',
        'detection AP': 'det/AP',
        'recall': 'det/recall',
    }
    lines = [['config', 'runs', *figures]]
    for config, runs in results.items():
        cells = [mean_and_deviation(runs, key) for key in figures.values()]
        lines.append([config, str(len(runs)), *cells])
    return markdown(lines)
