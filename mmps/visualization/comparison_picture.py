"""Picture of two runs, query by query: differences and their confidence."""

import os
from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from mmps.evaluation.comparison import SAME, Comparison

from .figures import STYLE

#: Blue, vermilion and grey, which all kinds of colour vision tell apart; a
#: shape for each too: (colour, marker, word).
WON = ('#0072B2', '^', 'B better')
LOST = ('#D55E00', 'v', 'A better')
EQUAL = ('#777777', 'o', 'equal')


def draw_comparisons(
    comparisons: Sequence[Comparison],
    names: Sequence[str],
    out: str | os.PathLike,
) -> None:
    """Write a picture: a row of three panels for each protocol.

    Left: the queries by their average precision in run A and in run B; larger
    marks are several queries. Middle: the differences, sorted. Right: the
    mean difference in the resamples, and the interval.

    Args:
        comparisons: At least one.
        names: What run A and run B are called in the picture.
        out: File; its suffix says the format.
    """
    style = {**STYLE, 'text.color': 'black', 'axes.titlecolor': 'black'}
    for part in ('axes.labelcolor', 'axes.edgecolor'):
        style[part] = 'black'
    style['xtick.color'] = style['ytick.color'] = 'black'
    with mpl.rc_context(style):
        figure = Figure(
            figsize=(13, 4.5 * len(comparisons) + 0.4), layout='constrained'
        )
        figure.suptitle(f'A: {names[0]}     B: {names[1]}')
        axes = figure.subplots(len(comparisons), 3, squeeze=False)
        for row, compared in zip(axes, comparisons, strict=True):
            draw_queries(row[0], compared)
            draw_differences(row[1], compared)
            draw_interval(row[2], compared)
        figure.savefig(out, dpi=110)


def draw_queries(ax, compared: Comparison) -> None:
    """Average precision in run B against run A."""
    points, counts = np.unique(
        (100 * compared.paired.average_precision).T.round(3),
        axis=0,
        return_counts=True,
    )
    ax.plot([0, 100], [0, 100], color='black', linewidth=0.8, zorder=1)
    gain = points[:, 1] - points[:, 0]
    for (colour, marker, word), chosen, number in (
        (WON, gain > 0, compared.won),
        (EQUAL, gain == 0, compared.equal),
        (LOST, gain < 0, compared.lost),
    ):
        ax.scatter(
            *points[chosen].T,
            s=14 * np.sqrt(counts[chosen]),
            color=colour,
            marker=marker,
            alpha=0.7,
            linewidth=0,
            label=f'{word}: {number}',
            zorder=2,
        )
    ax.set(
        title=f'{compared.paired.protocol}: queries',
        xlabel='AP in A, percent',
        ylabel='AP in B, percent',
        xlim=(-4, 104),
        ylim=(-4, 104),
        aspect='equal',
    )
    legend = ax.legend(  # below the axes: every corner may hold queries
        loc='upper center',
        bbox_to_anchor=(0.5, -0.16),
        ncols=3,
        fontsize=9,
        columnspacing=1,
        handletextpad=0.2,
    )
    for handle in legend.legend_handles:
        handle.set_sizes([30])
    ax.grid(alpha=0.25, linewidth=0.6)


def draw_differences(ax, compared: Comparison) -> None:
    """B minus A of every query, from the worst loss to the best win."""
    ap = compared.paired.average_precision
    gain = np.sort(ap[1] - ap[0])
    share = 100 * np.arange(len(gain) + 1) / max(len(gain), 1)
    for (colour, *_), part in (
        (LOST, np.where(gain < -SAME, gain, 0)),
        (WON, np.where(gain > SAME, gain, 0)),
    ):
        ax.stairs(100 * part, share, fill=True, color=colour)
    found = compared.figures['mAP']
    ax.axhspan(100 * found.low, 100 * found.high, color='black', alpha=0.18)
    ax.axhline(100 * found.difference, color='black', linestyle='--')
    ax.axhline(0, color='black', linewidth=0.8)
    ax.set(
        title='difference of each query, sorted',
        xlabel='queries, percent',
        ylabel='AP in B minus AP in A',
        xlim=(0, 100),
        ylim=(-105, 105),
    )
    ax.annotate(
        'dashed: mean, with interval',
        (0.03, 0.95),
        xycoords='axes fraction',
        fontsize=9,
        va='top',
    )
    ax.grid(alpha=0.25, linewidth=0.6)


def draw_interval(ax, compared: Comparison) -> None:
    """How often the resamples have which difference of mAP."""
    found, means = compared.figures['mAP'], 100 * compared.means[0]
    ax.axvspan(100 * found.low, 100 * found.high, color='black', alpha=0.12)
    if np.isfinite(means).all():
        ax.hist(means, bins=60, color='#009E73')
    for end in (found.low, found.high):
        ax.axvline(100 * end, color='black', linestyle=':')
    ax.axvline(100 * found.difference, color='black', linestyle='--')
    ax.axvline(0, color='black', linewidth=1.6)
    ax.set(
        title=f'mAP: {100 * found.difference:+.2f}, 95 % from '
        f'{100 * found.low:+.2f} to {100 * found.high:+.2f}',
        xlabel='mAP of B minus mAP of A (bold line: 0)',
        ylabel=f'of {compared.means.shape[1]} resamples',
    )
