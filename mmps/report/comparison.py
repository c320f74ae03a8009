"""Two runs compared query by query, as a table and as a file."""

import json
import math
import os
from collections.abc import Sequence

from mmps.atomic_files import write_text
from mmps.evaluation.comparison import Comparison
from mmps.evaluation.result_text import percent

_COUNTS = ('queries', 'won', 'lost', 'equal')


def comparison_table(comparisons: Sequence[Comparison]) -> str:
    """Markdown, in percent: a line for each protocol and figure."""
    lines = [
        '| protocol | figure | A | B | B - A | 95 % interval | queries '
        '| won | lost | equal |',
        '| --- ' * 10 + '|',
    ]
    for compared in comparisons:
        counts = compared.summary()
        protocol = compared.paired.protocol
        numbers = [str(counts[key]) for key in _COUNTS]
        for name, found in compared.figures.items():
            cells = [
                *(protocol, name, percent(found.a), percent(found.b)),
                percent(found.difference, '+'),
                f'{percent(found.low, "+")} to {percent(found.high, "+")}',
                *numbers,
            ]
            lines.append('| ' + ' | '.join(cells) + ' |')
            # what belongs to the protocol stands in its first line alone
            protocol, numbers = '', [''] * len(_COUNTS)
    return '\n'.join(lines)


def write_comparisons(
    path: str | os.PathLike,
    comparisons: Sequence[Comparison],
    **notes: str | int,
) -> None:
    """Write all numbers as JSON, unrounded, NaN as null.

    Args:
        path: Of the file.
        comparisons: One for each protocol.
        notes: What was compared, and how.
    """
    protocols = {
        compared.paired.protocol: _plain(compared.summary())
        for compared in comparisons
    }
    content = {**notes, 'protocols': protocols}
    write_text(path, json.dumps(content, indent=1) + '\n')


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    bad = isinstance(value, float) and math.isnan(value)
    return None if bad else value
