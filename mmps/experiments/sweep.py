"""Search and detection against the weight lambda_oim of the re-id loss."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mmengine.config import Config

from mmps.configs import config_name, find_config
from mmps.errors import InputError

from .compare import Runner, several_at_a_time

_WEIGHT = 'model.roi_head.oim_head.loss_oim.loss_weight'


@dataclass(frozen=True)
class Point:
    """A config at one weight.

    Attributes:
        config: Path or name.
        weight: lambda_oim.
        options: KEY=VALUE that set it, where it is not the config's own.
    """

    config: str
    weight: float
    options: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the run."""
        suffix = f'_lambda{self.weight:g}' if self.options else ''
        return config_name(self.config) + suffix


def point_of(text: str) -> Point:
    """Take CONFIG or CONFIG@WEIGHT apart.

    Raises:
        InputError: No such config, a weight that is no number, or a network
            without OIM loss.
    """
    config, _, asked = text.partition('@')
    model = Config.fromfile(
        find_config(config), import_custom_modules=False
    ).model
    head = model.roi_head.get('oim_head')
    if head is None:
        raise InputError(
            config, 'has no OIM loss to weight', 'Give it as --detector'
        )
    own = head.loss_oim.loss_weight
    try:
        weight = float(asked or own)
    except ValueError:
        raise InputError(
            text, f'{asked!r} is no number', 'Write CONFIG@WEIGHT'
        ) from None
    options = () if weight == own else (f'{_WEIGHT}={weight}',)
    return Point(config, weight, options)


def sweep(
    runner: Runner,
    curves: dict[str, Sequence[Point]],
    detector: str | None,
    seeds: Sequence[int],
    jobs: int,
    report: Callable[[str, Point, list[dict]], None],
) -> tuple[dict[str, dict[float, list[dict]]], list[dict]]:
    """Run every point with every seed.

    Args:
        runner: Runs them.
        curves: Label -> points.
        detector: Config of a network that does not search, or None.
        seeds: Of each point.
        jobs: Points at a time.
        report: Called with each point's results as soon as they are there.

    Returns:
        Label -> lambda_oim -> results, and the results of the detector.
    """

    def measure(point: Point) -> list[dict]:
        return [
            runner.run(point.config, seed, point.name, point.options)
            for seed in seeds
        ]

    tasks = [
        (label, point) for label, points in curves.items() for point in points
    ]
    found = {label: {} for label in curves}
    with several_at_a_time(jobs) as pool:
        alone = detector and pool.submit(measure, Point(detector, 0.0))
        runs = pool.map(lambda task: measure(task[1]), tasks)
        for (label, point), results in zip(tasks, runs, strict=True):
            found[label][point.weight] = results
            report(label, point, results)
        return found, alone.result() if alone else []
