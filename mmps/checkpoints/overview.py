"""Where the weights of a model come from, module by module."""

import textwrap
from collections import Counter

from .fit import KeyReport

_WIDTH = 79
_UNBROKEN = '\N{NO-BREAK SPACE}'
#: Modules of one line; the others are summed up.
_SHOWN = 20


def overview(report: KeyReport) -> str:
    """Count every key of model and checkpoint, by module and origin.

    Args:
        report: Of a checkpoint that is loaded although it does not fit.

    Returns:
        Lines such as

            141 of 180 keys of the model come from the checkpoint
              from the checkpoint: backbone (85 of 109), rpn_head (6 of 14)
              new: backbone.gates (24), rpn_head.gate (4)
              not used: head (2)

        and the shapes that differ.
    """
    differing = [key for key, _, _ in report.differing]
    ours = [*report.matched, *report.missing, *differing, *report.counters]
    ours += report.left_out
    whole = Counter(_module(key, 1) for key in ours)
    matched = Counter(_module(key, 1) for key in report.matched)
    # a counter that a known BatchNorm lacks; others are new with their layer
    known = {key.rpartition('.')[0] for key in report.matched}
    counters = [k for k in report.counters if k.rpartition('.')[0] in known]
    new = [*report.missing, *(k for k in report.counters if k not in counters)]
    lines = [
        f'{len(report.matched)} of {len(ours)} keys of the model come from '
        'the checkpoint',
        *_line('from the checkpoint', matched, whole),
    ]
    for origin, keys in (
        ('new', new),
        ('new, of another shape in the checkpoint', differing),
        ('new, counters of steps', counters),
        ('new, as training starts', report.left_out),
        ('not used', report.unexpected),
    ):
        lines += _line(origin, Counter(_module(key, 2) for key in keys))
    return '\n'.join([*lines, *report.shapes()])


def _module(key: str, depth: int) -> str:
    """The first names of a key, without that of the tensor itself."""
    *modules, tensor = key.split('.')
    return '.'.join(modules[:depth]) or tensor


def _line(
    origin: str, counts: Counter, whole: Counter | None = None
) -> list[str]:
    """Modules with the numbers of their keys, wrapped; nothing for none."""
    parts = []
    for name, count in list(counts.items())[:_SHOWN]:
        total = count if whole is None else whole[name]
        some = f'{count} of {total}' if count < total else count
        parts.append(f'{name} ({some})'.replace(' ', _UNBROKEN))
    if len(counts) > _SHOWN:
        rest = sum(list(counts.values())[_SHOWN:])
        parts.append(f'{len(counts) - _SHOWN} more modules ({rest})')
    lines = textwrap.wrap(
        f'{origin}: {", ".join(parts)}' if parts else '',
        width=_WIDTH,
        initial_indent='  ',
        subsequent_indent='    ',
        break_on_hyphens=False,
        break_long_words=False,
    )
    return [line.replace(_UNBROKEN, ' ') for line in lines]
