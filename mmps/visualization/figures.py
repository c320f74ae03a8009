"""Line charts as SVG text, to be put into a page."""

import io
import re
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

#: Drawn in this colour, which the page turns into that of its text.
_INK = '#010203'
#: One for each run; readable on white and on black, and for most eyes.
COLOURS = (
    '#3b82d0',
    '#e0722b',
    '#1f9e6e',
    '#c2538f',
    '#8a6fd1',
    '#a38a1c',
    '#2aa0b5',
    '#c94b4b',
    '#777777',
    '#9a6a45',
)
STYLE = {
    'svg.fonttype': 'none',
    'font.family': 'sans-serif',
    'font.size': 10,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.titlesize': 10,
    'axes.labelsize': 10,
    'legend.frameon': False,
    **dict.fromkeys(
        (
            'text.color',
            'axes.labelcolor',
            'axes.edgecolor',
            'xtick.color',
            'ytick.color',
            'axes.titlecolor',
        ),
        _INK,
    ),
}


class Line(NamedTuple):
    """One line of a panel.

    Attributes:
        label: Of the run; '' for none in the legend.
        colour: Number of the run.
        x: Rising.
        y: Same length, NaN for gaps.
        steps: Whether y holds from the x before.
    """

    label: str
    colour: int
    x: Sequence[float]
    y: Sequence[float]
    steps: bool = False


class Panel(NamedTuple):
    """One pair of axes.

    Attributes:
        title: Above.
        xlabel: Below.
        ylabel: On the left.
        lines: In it.
        xlim: Left and right end, None for those of the lines.
        ylim: Same, for y.
        whole_x: Whether only whole numbers are marked below.
        legend: Whether it has one, whatever the other panels have.
    """

    title: str
    xlabel: str
    ylabel: str
    lines: Sequence[Line]
    xlim: tuple[float, float] | None = None
    ylim: tuple[float, float] | None = None
    whole_x: bool = False
    legend: bool = False


def draw(panels: Sequence[Panel], name: str, columns: int = 2) -> str:
    """Panels side by side as an ``<svg>`` element.

    The same panels give the same text. Where no panel asks for a legend, one
    stands in the first panel with several lines.

    Args:
        panels: At least one.
        name: Of the figure; different for each of one page.
        columns: Panels in a row.
    """
    rows = -(-len(panels) // columns)
    with mpl.rc_context({**STYLE, 'svg.hashsalt': name}):
        figure = Figure(
            figsize=(4.6 * columns, 3.0 * rows), layout='constrained'
        )
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for panel, ax in zip(panels, axes, strict=False):
            _fill(ax, panel)
        for ax in axes[len(panels) :]:
            ax.set_axis_off()
        asked = [p.legend for p in panels]
        several = [len(p.lines) > 1 for p in panels]
        if not any(asked) and any(several):
            asked[several.index(True)] = True
        for ax, legend in zip(axes, asked, strict=False):
            if legend:
                ax.legend(loc='best', fontsize=9)
        out = io.StringIO()
        figure.savefig(
            out, format='svg', transparent=True, metadata={'Date': None}
        )
    svg = out.getvalue()
    svg = svg[svg.index('<svg') :].replace(_INK, 'currentColor')
    # several figures stand in one page: nobody refers to these names
    return re.sub(r'<g id="(?!m[0-9a-f]{10})[^"]*"', '<g', svg)


def _fill(ax, panel: Panel) -> None:
    for line in panel.lines:
        ax.plot(
            line.x,
            line.y,
            color=COLOURS[line.colour % len(COLOURS)],
            linestyle=('-', '--', ':')[line.colour // len(COLOURS) % 3],
            linewidth=1.6,
            label=line.label or None,
            drawstyle='steps-pre' if line.steps else 'default',
            marker='o' if len(line.x) < 12 and not line.steps else None,
            markersize=3,
        )
    ax.set(title=panel.title, xlabel=panel.xlabel, ylabel=panel.ylabel)
    if panel.xlim:
        ax.set_xlim(panel.xlim)
    if panel.ylim:
        ax.set_ylim(panel.ylim)
    if panel.whole_x:
        ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(alpha=0.25, linewidth=0.6)


def thinned(
    x: np.ndarray, y: np.ndarray, most: int = 400
) -> tuple[np.ndarray, np.ndarray]:
    """At most ``most`` points of a line, including both ends."""
    if len(x) <= most:
        return x, y
    kept = np.unique(np.linspace(0, len(x) - 1, most).round().astype(int))
    return np.asarray(x)[kept], np.asarray(y)[kept]
