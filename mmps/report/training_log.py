"""What a training run has logged: losses by step, figures by epoch."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

Series = dict[str, list[tuple[float, float]]]


class TrainingLog(NamedTuple):
    """Numbers of a training run.

    Attributes:
        losses: Name -> (iteration, value) in rising order.
        figures: Name -> (epoch, value) of the validations.
    """

    losses: Series
    figures: Series


def find_logs(folder: Path) -> list[Path]:
    """The scalars of all runs in a work_dir, oldest first; may be none."""
    return sorted(folder.glob('*/vis_data/scalars.json'))


def read_logs(files: Iterable[Path]) -> TrainingLog:
    """Read the scalars of a run and of its continuations.

    What a continuation or a new start did again takes the place of what was
    there.

    Args:
        files: Oldest first, as mmengine's ``LocalVisBackend`` writes them.

    Raises:
        ValueError: A line is no JSON object with a ``step``.
    """
    losses: dict[float, dict] = {}
    figures: dict[float, dict] = {}
    for file in files:
        seen = set()
        for number, line in enumerate(file.read_text().splitlines(), 1):
            try:
                values = json.loads(line)
                step = values['step']
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f'{file}, line {number}: expected a JSON object with a '
                    f"'step', as mmengine's LocalVisBackend writes it "
                    f'({error})'
                ) from error
            kind = losses if 'loss' in values else figures
            if kind is losses and id(kind) not in seen:
                # a run goes on here; what came later has been thrown away
                for late in [old for old in losses if old >= step]:
                    del losses[late]
                seen.add(id(kind))
            kind[step] = values
    return TrainingLog(
        _series(losses, lambda name: name.startswith('loss')),
        _series(figures, lambda name: '/' in name),
    )


def _series(lines: dict[float, dict], wanted) -> Series:
    series: Series = {}
    for step, values in sorted(lines.items()):
        for name, value in values.items():
            if wanted(name) and value is not None:
                series.setdefault(name, []).append((step, float(value)))
    return series
