"""What ``mmps.analysis`` has measured, side by side."""

from collections.abc import Callable

from .analysis import PARTS, Analysis, Count


def table(analyses: dict[str, Analysis], shape: tuple[int, int]) -> str:
    """Markdown: a column for each network, in percent of the first too.

    Args:
        analyses: Name -> what was measured.
        shape: Height and width of the image.
    """
    first, *_ = analyses.values()
    names = [name + ', pair' * a.pairs for name, a in analyses.items()]
    lines = [['', *names], ['---'] * (1 + len(names))]

    def row(
        name: str,
        value: Callable[[Analysis], float | None],
        unit: float,
        digits: int = 3,
    ) -> None:
        values = [value(a) for a in analyses.values()]
        if any(values):
            base = value(first)
            cells = [_cell(v, base, unit, digits) for v in values]
            lines.append([name, cells[0].partition(' (')[0], *cells[1:]])

    row('parameters, M', lambda a: a.parameters['all'].total, 1e6)
    row('- trainable', lambda a: a.parameters['all'].trainable, 1e6)
    row('- frozen', lambda a: a.parameters['all'].frozen, 1e6)
    for part in PARTS:
        row(
            f'- in {part}',
            lambda a, part=part: a.parameters.get(part, Count()).total,
            1e6,
        )
    for name in dict.fromkeys(n for a in analyses.values() for n in a.buffers):
        row(
            f'not learnt: {name}, M',
            lambda a, name=name: a.buffers.get(name),
            1e6,
        )
    row(
        'parameters and all of these, M',
        lambda a: a.parameters['all'].total + sum(a.buffers.values()),
        1e6,
    )
    size = f'{shape[1]} x {shape[0]}'
    row(f'GMACs, {size}', lambda a: a.macs.get('all'), 1e9, 2)
    for part in PARTS:
        row(f'- in {part}', lambda a, part=part: a.macs.get(part), 1e9, 2)
    row('RoIs', lambda a: a.rois, 1, 0)
    for name in ('ms', 'CPU ms'):
        row(
            f'{name}, {size}',
            lambda a, name=name: a.milliseconds.get(name),
            1,
            0,
        )
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _cell(
    value: float | None, base: float | None, unit: float, digits: int
) -> str:
    if not value:
        return '-'
    text = f'{value / unit:.{digits}f}'
    return f'{text} ({100 * value / base:.0f} %)' if base else text
