"""Train and test many networks, some of which start from or learn from others.

A plan is a YAML file:

    protocols: [G50, G100]       # figures to keep, with those of detection
    runs:
      oim18:
        config: configs/oim/oim_r18_synth.py
        seeds: [0]               # others take every seed that is asked for
      qeeps18:
        config: configs/qeeps/qeeps_r18_synth.py
        start: oim18             # load_from
        options: [model.backbone.gated=False]
        test_options: [test_cfg.cascade_topk=30]
      student:
        config: configs/kd/oim_r18_oim50_synth.py
        teacher: qeeps50         # of its FrozenLUTHook, or zoo://NAME
        random_table: true       # random rows in place of the teacher's
        options: ["model.distiller.checkpoint={det50}"]  # weights of a run
    tables:
      ablation:
        a row's label: qeeps18
    differences:                 # seed by seed, with an interval
      what guidance brings:
        a row's label: [qeeps18, oim18_pairs]
    sweeps:                      # pictures against lambda_oim
      oim18:
        detector: det18
        curves:
          no KD: {1.0: oim18, 0.1: oim18_w0.1}

What a run gives is one small JSON file, kept where the plan says so that the
next session goes on; a run whose file is there is not repeated. Weights stay
in the work_dir; if those of a start or a teacher are gone, it is trained anew,
from the same seed.
"""

import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import yaml

from mmps.atomic_files import write_text
from mmps.distillation import random_table, read_table, write_table
from mmps.visualization import save_weight_sweep
from mmps.zoo import is_address

from .children import CHILDREN, STOPPED
from .tables import differences_table, table

_ROOT = Path(__file__).parents[2]
_TEACHER = 'custom_hooks.0.teacher'
#: A run whose weights stand in an option.
_NAMED = re.compile(r'{(\w+)}')
#: Stands in the folder of a run whose training is over.
_TRAINED = 'trained.json'


@dataclass(frozen=True)
class Run:
    """One network of a plan.

    Attributes:
        name: In the plan.
        config: Path.
        start: Run or address (``zoo://``, ``https://``) whose weights it
            starts from; None for the config's own.
        teacher: Run or address whose lookup table it learns against; None for
            the config's own.
        random_table: Whether the teacher's rows are exchanged for random
            ones, another set for every seed.
        seeds: It has these alone; None for all that are asked for.
        options: KEY=VALUE of the training and the test; ``{NAME}`` is the
            checkpoint of another run, which only training needs.
        test_options: 'KEY=VALUE' that override the config in the test, not in
            training.
        test: Whether it is tested, or only there for others.
    """

    name: str
    config: str
    start: str | None = None
    teacher: str | None = None
    random_table: bool = False
    seeds: tuple[int, ...] | None = None
    options: tuple[str, ...] = ()
    test_options: tuple[str, ...] = ()
    test: bool = True

    def others(self) -> list[str]:
        """Runs that it builds on."""
        named = _NAMED.findall(' '.join(self.options))
        sources = [self.start, self.teacher]
        return [s for s in sources if s and not is_address(s)] + named

    def seed_for(self, seed: int) -> int:
        """The seed of this run that a run of ``seed`` builds on."""
        if self.seeds is None or seed in self.seeds:
            return seed
        return self.seeds[0]


@dataclass(frozen=True)
class Plan:
    """What to train, and how to show it.

    Attributes:
        runs: Name -> run, in the order in which they are run.
        protocols: Names such as G50.
        tables: Name -> label -> name of a run.
        differences: Name -> label -> names of a run and of what it is
            compared with.
        sweeps: Name -> 'detector', a run, and 'curves': label -> lambda_oim
            -> run.
    """

    runs: dict[str, Run]
    protocols: tuple[str, ...]
    tables: dict[str, dict[str, str]]
    differences: dict[str, dict[str, list[str]]]
    sweeps: dict[str, dict]


def read_plan(path: Path) -> Plan:
    """Read and check a plan.

    Raises:
        ValueError: An unknown key or run, or a run before what it builds on.
    """
    content = yaml.safe_load(path.read_text())
    unknown = content.keys() - set(Plan.__dataclass_fields__)
    if unknown:
        raise ValueError(f'{path}: unknown {sorted(unknown)}')
    runs = {}
    for name, entry in content['runs'].items():
        known = set(Run.__dataclass_fields__) - {'name'}
        if wrong := entry.keys() - known:
            raise ValueError(
                f'{path}: run {name} has unknown {sorted(wrong)}; known are '
                f'{sorted(known)}'
            )
        entry = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in entry.items()
        }
        runs[name] = Run(name, **entry)
        if runs[name].random_table and runs[name].teacher is None:
            raise ValueError(
                f'{path}: run {name} has random_table but no teacher, whose '
                'people the rows are for'
            )
        for other in runs[name].others():
            if other not in list(runs)[:-1]:
                raise ValueError(
                    f'{path}: run {name} builds on {other!r}, which must be '
                    'listed above it'
                )
    tables = content.get('tables', {})
    differences = content.get('differences', {})
    sweeps = content.get('sweeps', {})
    shown = {
        **{name: set(rows.values()) for name, rows in tables.items()},
        **{name: {*chain(*r.values())} for name, r in differences.items()},
        **{
            name: {
                sweep['detector'],
                *chain(
                    *(points.values() for points in sweep['curves'].values())
                ),
            }
            for name, sweep in sweeps.items()
        },
    }
    for title, names in shown.items():
        if missing := names - runs.keys():
            raise ValueError(
                f'{path}: table {title} shows unknown runs {sorted(missing)}'
            )
    protocols = tuple(content['protocols'])
    return Plan(runs, protocols, tables, differences, sweeps)


class Campaign:
    """Carries a plan out.

    Args:
        plan: What to run.
        work: Folder of weights and logs.
        results: Folder of what is kept.
        amp: Train in mixed precision.
    """

    def __init__(
        self, plan: Plan, work: Path, results: Path, amp: bool = False
    ) -> None:
        self.plan = plan
        self.work = work
        self.results = results
        self.amp = amp

    def run_all(
        self,
        seeds: Sequence[int],
        only: Sequence[str] | None = None,
        test: bool = True,
    ) -> None:
        """Run what is not done, seed after seed in the order of the plan.

        Args:
            seeds: Of the runs that have none of their own.
            only: Names of runs; None for all.
            test: Whether to test, or to train alone.

        Raises:
            ValueError: A run of ``only`` is not in the plan.
        """
        runs = self.plan.runs
        if unknown := set(only or ()) - runs.keys():
            raise ValueError(
                f'no runs {sorted(unknown)} in the plan, which has '
                f'{list(runs)}'
            )
        tasks = [
            (name, seed)
            for seed in seeds
            for name, run in runs.items()
            if (only is None or name in only) and run.seed_for(seed) == seed
        ]
        for number, (name, seed) in enumerate(tasks, 1):
            if not (test and runs[name].test):
                weights = self.weights(name, seed)
                print(f'[{number}/{len(tasks)}] {weights}', flush=True)
                continue
            result = self.run(name, seed)
            figures = ', '.join(
                f'{key} {100 * value:.1f}'
                for key, value in result['figures'].items()
                if key.endswith(('/mAP', '/top-1', '/AP'))
            )
            print(
                f'[{number}/{len(tasks)}] {name} seed {seed}: {figures}',
                flush=True,
            )

    def tables(self) -> str:
        """All tables of the plan, of what has been run so far."""
        protocols, parts = self.plan.protocols, []
        for title, rows in self.plan.tables.items():
            results = {
                label: self._results(name) for label, name in rows.items()
            }
            parts.append(f'{title}\n\n{table(results, protocols)}')
        for title, rows in self.plan.differences.items():
            results = {
                label: [self._results(name) for name in names]
                for label, names in rows.items()
            }
            lines = differences_table(results, protocols)
            parts.append(f'{title}\n\n{lines}')
        return '\n\n'.join(parts)

    def draw(self, name: str, path: Path) -> None:
        """Draw a sweep of what has been run so far, of the last protocol.

        Raises:
            ValueError: There is no such sweep, or nothing of it has been run.
        """
        if name not in self.plan.sweeps:
            raise ValueError(
                f'no sweep {name!r} in the plan, which has '
                f'{list(self.plan.sweeps)}'
            )
        sweep = self.plan.sweeps[name]

        def figures(run: str) -> list[dict]:
            return [result['figures'] for result in self._results(run)]

        curves = {}
        for label, points in sweep['curves'].items():
            for weight, run in points.items():
                if found := figures(run):
                    curves.setdefault(label, {})[weight] = found
        if not curves:
            raise ValueError(f'no run of sweep {name} is finished yet')
        save_weight_sweep(
            curves, figures(sweep['detector']), self.plan.protocols[-1], path
        )

    def _results(self, name: str) -> list[dict]:
        """What there is of a run, by seed."""
        files = sorted(self.results.glob(f'{name}_seed*.json'))
        return [json.loads(file.read_text()) for file in files]

    def result_file(self, name: str, seed: int) -> Path:
        """Where the result of a run is kept."""
        return self.results / f'{name}_seed{seed}.json'

    def run(self, name: str, seed: int) -> dict:
        """Train and test a run, or read what it gave before."""
        file = self.result_file(name, seed)
        if file.exists():
            return json.loads(file.read_text())
        run = self.plan.runs[name]
        weights = self.weights(name, seed)
        folder = weights.parent
        trained = json.loads((folder / _TRAINED).read_text())
        begin = time.time()
        out = folder / 'result.json'
        # whose weights it was trained with is no matter of the test
        options = [o for o in run.options if not _NAMED.search(o)]
        options += run.test_options
        call(
            'test',
            folder,
            run.config,
            str(weights),
            '--out',
            str(out),
            *(('--cfg-options', *options) if options else ()),
        )
        figures = {
            key: value
            for key, value in json.loads(out.read_text()).items()
            if key.split('/')[0] in (*self.plan.protocols, 'det')
        }
        result = dict(
            run=name,
            seed=seed,
            config=run.config,
            options=list(run.options),
            test_options=list(run.test_options),
            amp=self.amp,
            commit=dict(training=trained['commit'], test=commit()),
            seconds=dict(
                training=trained['seconds'], test=round(time.time() - begin)
            ),
            figures=figures,
        )
        write_text(file, json.dumps(result, indent=1) + '\n')
        return result

    def weights(self, name: str, seed: int) -> Path:
        """Checkpoint of a run, trained or resumed if it is not there yet."""
        run = self.plan.runs[name]
        folder = self.work / f'{name}_seed{seed}'
        done = folder / _TRAINED
        if not done.exists():

            def named(found: re.Match) -> str:
                return str(self._other(found[1], seed))

            options = [
                f'randomness.seed={seed}',
                'train_cfg.val_begin=100000',  # the test comes on its own
                *(_NAMED.sub(named, option) for option in run.options),
            ]
            if run.start is not None:
                options.append(f'load_from={self._other(run.start, seed)}')
            if run.teacher is not None:
                teacher = self._other(run.teacher, seed)
                if run.random_table:
                    teacher = _random_table(teacher, folder, seed)
                options.append(f'{_TEACHER}={teacher}')
            begin = time.time()
            call(
                'train',
                folder,
                run.config,
                '--resume',
                *(['--amp'] if self.amp else []),
                '--cfg-options',
                *options,
            )
            last = (folder / 'last_checkpoint').read_text().strip()
            trained = dict(
                checkpoint=Path(last).name,
                commit=commit(),
                seconds=round(time.time() - begin),  # since the last resume
            )
            write_text(done, json.dumps(trained) + '\n')
        return folder / json.loads(done.read_text())['checkpoint']

    def _other(self, name: str, seed: int) -> Path | str:
        """Checkpoint or address of what a run of ``seed`` builds on."""
        if is_address(name):
            return name
        other_seed = self.plan.runs[name].seed_for(seed)
        return self.weights(name, other_seed).resolve()


def _random_table(teacher: Path | str, folder: Path, seed: int) -> Path:
    """Write random rows for a teacher's people."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder.resolve() / 'random_lut.pth'
    write_table(random_table(read_table(teacher), seed), path)
    return path


def call(command: str, work: Path, *arguments: str) -> None:
    """Run ``mmps COMMAND``; its output goes to a file in the run's folder.

    Raises:
        SystemExit: It failed; the message names the file. Or a signal stopped
            it: with its exit code.
    """
    work.mkdir(parents=True, exist_ok=True)
    log = work / f'{command}.log'
    program = [sys.executable, '-m', 'mmps', command, *arguments]
    program += ['--work-dir', str(work)]
    with log.open('w') as file:
        code = CHILDREN.run(program, stdout=file, stderr=subprocess.STDOUT)
    if code in STOPPED:
        print(
            f'mmps {command} was stopped by {STOPPED[code]} ({log}); run the '
            'same command again to continue',
            file=sys.stderr,
        )
        raise SystemExit(code)
    if code:
        raise SystemExit(f'mmps {command} failed, see {log}')


def commit() -> str | None:
    """The commit of the code, with a '+' if files were changed; None without
    git."""
    git = ('git', '-C', str(_ROOT))
    try:
        head, changed = (
            subprocess.run(
                (*git, *command), capture_output=True, text=True, check=True
            ).stdout.strip()
            for command in (
                ('rev-parse', '--short', 'HEAD'),
                ('status', '--porcelain', '--untracked-files=no'),
            )
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + '+' * bool(changed)
