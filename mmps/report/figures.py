"""Curves of test runs and of their training, side by side."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mmps.evaluation.detection import score_detection
from mmps.evaluation.rankings import search_of_features
from mmps.visualization.figures import Line, Panel, draw, thinned

from .curves import Steps, cumulative_matches, detection_curve, search_curve
from .runs import Run

#: Largest k of the curve of matches.
LENGTH = 50


class PageFigure(NamedTuple):
    """A figure of the page.

    Attributes:
        heading: Above it.
        svg: Text of the ``<svg>`` element.
        caption: Below it.
    """

    heading: str
    svg: str
    caption: str


def curve_figures(runs: Sequence[Run], det_thr: float) -> list[PageFigure]:
    """Search curves of every protocol, gallery sizes, detection."""
    figures = [_gallery_sizes(runs)]
    with_features = [
        (number, run) for number, run in enumerate(runs) if run.features
    ]
    names = dict.fromkeys(
        name for _, run in with_features for name in run.features.protocols
    )
    for name in names:
        figures.append(_search(name, with_features, det_thr))
    if with_features:
        figures.append(_detection(with_features, det_thr))
    return [figure for figure in figures if figure]


def training_figures(runs: Sequence[Run]) -> list[PageFigure]:
    """Losses by iteration, figures of the validations by epoch."""
    logged = [(n, run) for n, run in enumerate(runs) if run.log]
    figures = []
    for kind, heading, xlabel in (
        ('losses', 'Training: losses', 'iteration'),
        ('figures', 'Training: validation', 'epoch'),
    ):
        series = [(n, run, getattr(run.log, kind)) for n, run in logged]
        names = dict.fromkeys(name for *_, s in series for name in s)
        if kind == 'figures':
            names = [n for n in names if n.endswith(('/mAP', 'det/AP'))]
        panels = [
            Panel(
                name,
                xlabel,
                'percent' if kind == 'figures' else 'loss',
                [
                    _logged(n, run, s[name], 100 if kind == 'figures' else 1)
                    for n, run, s in series
                    if name in s
                ],
                whole_x=True,
            )
            for name in names
        ]
        if panels:
            svg = draw(panels, f'training-{kind}', columns=3)
            caption = 'As logged, means over the window of the log.'
            if kind == 'figures':
                caption = 'At the end of the epochs that were validated.'
            figures.append(PageFigure(heading, svg, caption))
    return figures


def _logged(
    number: int, run: Run, points: list[tuple[float, float]], factor: float
) -> Line:
    x, y = np.array(points, np.float64).T
    return Line(run.name, number, *thinned(x, factor * y))


def _gallery_sizes(runs: Sequence[Run]) -> PageFigure | None:
    """mAP and top-1 against G50, G100, ...; None for fewer than two."""
    lines: dict[str, list[Line]] = {'mAP': [], 'top-1': []}
    for number, run in enumerate(runs):
        for figure, found in lines.items():
            sizes = sorted(
                (int(match[1]), 100 * value)
                for key, value in run.result.items()
                if (match := re.fullmatch(rf'G(\d+)/{figure}', key))
            )
            if len(sizes) > 1:
                x, y = zip(*sizes, strict=True)
                found.append(Line(run.name, number, x, y))
    panels = [
        Panel(figure, 'images in a gallery', 'percent', found)
        for figure, found in lines.items()
        if found
    ]
    if not panels:
        return None
    return PageFigure(
        'Size of the gallery',
        draw(panels, 'sizes'),
        'The same queries; the larger the gallery, the more other people.',
    )


def _search(
    name: str, runs: Sequence[tuple[int, Run]], det_thr: float
) -> PageFigure | None:
    """Matches within the first k, and precision against recall."""
    matches, precision = [], []
    for number, run in runs:
        protocol = run.features.protocols.get(name)
        if protocol is None:
            continue
        search = search_of_features(run.features, det_thr)
        rankings = [
            ranking
            for position in range(len(protocol.queries))
            if (ranking := search.ranking(name, position)).num_gt
        ]
        if not rankings:
            continue
        ranks = [ranking.score().rank for ranking in rankings]
        cumulated = 100 * cumulative_matches(ranks, LENGTH)
        places = np.arange(1, LENGTH + 1)
        matches.append(Line(run.name, number, places, cumulated))
        precision.append(
            _precision(run.name, number, search_curve(rankings), 'mAP')
        )
    if not matches:
        return None
    panels = [
        Panel(
            'found among the first k',
            'k',
            'percent of the queries',
            matches,
            (0, LENGTH),
            (0, 102),
        ),
        _precision_panel(precision),
    ]
    return PageFigure(
        f'Search: {name}',
        draw(panels, f'search-{name}'),
        'Left: at k = 1, 5 and 10 it is top-k. Right: mean over the queries, '
        'each with its own recall; the area is mAP.',
    )


def _detection(
    runs: Sequence[tuple[int, Run]], det_thr: float
) -> PageFigure | None:
    lines = []
    for number, run in runs:
        boxes = run.features.detections.above(det_thr)
        score = score_detection(boxes, run.features.ground_truth)
        if score.num_gt:
            steps = detection_curve(score)
            lines.append(_precision(run.name, number, steps, 'AP'))
    if not lines:
        return None
    return PageFigure(
        'Detection curve',
        draw([_precision_panel(lines)], 'detection'),
        f'Detections with a score of at least {det_thr:g}; the area is AP, '
        'and the curve ends at the recall.',
    )


def _precision(name: str, number: int, steps: Steps, area: str) -> Line:
    x, y = thinned(steps.recall, steps.precision)
    if len(x):  # the first step starts at recall 0
        x, y = np.append(0.0, x), np.append(y[0], y)
    text = f'{name}: {area} {100 * steps.area():.1f}'
    return Line(text, number, 100 * x, 100 * y, steps=True)


def _precision_panel(lines: Sequence[Line]) -> Panel:
    return Panel(
        'precision against recall',
        'recall, percent',
        'precision, percent',
        lines,
        (0, 100),
        (0, 102),
        legend=True,
    )
