"""One page on one or several test runs: tables, curves, hits and failures."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mmps.atomic_files import write_text
from mmps.evaluation.rankings import search_of_features
from mmps.evaluation.result_text import percent, rows
from mmps.evaluation.scoring import select
from mmps.evaluation.search import TOP_K
from mmps.visualization.figures import COLOURS
from mmps.visualization.pages import Picture, Section, data_uri, fill_template
from mmps.visualization.query_pages import LEGEND, choose, ends
from mmps.visualization.ranking_sheet import image_paths, query_sheet

from .figures import curve_figures, training_figures
from .runs import Run

FIGURES = ('mAP', *(f'top-{k}' for k in TOP_K))
COUNTS = ('queries', 'found', 'gt')


class Cell(NamedTuple):
    """One number of the search table.

    Attributes:
        text: As it is shown.
        best: Whether no other run has more.
    """

    text: str
    best: bool = False


def write_report(
    runs: Sequence[Run],
    out: str | Path,
    *,
    title: str = 'Person search',
    image_dir: str | Path | None = None,
    protocol: str | None = None,
    num_each: int = 4,
    det_thr: float = 0.5,
    version: str = '',
) -> None:
    """Write the page.

    Args:
        runs: At least one, with different names.
        out: File to write.
        title: Heading of the page.
        image_dir: Folder of the images; without it no picture of a query is
            drawn, and the page says so.
        protocol: Of the pictures; the first one for None.
        num_each: Pictures of worst and of best queries of each run.
        det_thr: Detections below this score are not there.
        version: Of the package, for the last line.

    Raises:
        ValueError: Two runs of one name, or no such protocol.
    """
    names = [run.name for run in runs]
    if len(set(names)) < len(names):
        raise ValueError(
            f'runs need different names, got {names}; write NAME=FILE'
        )
    notes, sections = [], []
    for run in runs:
        if run.features is None:
            notes.append(
                f'{run.name}: no features were given (mmps test --dump), '
                'so there are neither curves nor pictures of it.'
            )
        elif run.features.protocols:
            select(run.features.protocols, [protocol] if protocol else None)
            found, why = query_sections(
                run, image_dir, protocol, num_each, det_thr
            )
            sections += found
            notes += why
    if sections:
        notes.append(f'Pictures: {LEGEND}')
    figures = [*curve_figures(runs, det_thr), *training_figures(runs)]
    page = fill_template(
        'report.html',
        title=title,
        runs=[
            dict(name=name, colour=COLOURS[number % len(COLOURS)])
            for number, name in enumerate(names)
        ],
        notes=notes,
        search=search_table(runs),
        detection=detection_table(runs),
        figures=figures,
        sections=sections,
        version=version,
    )
    write_text(out, page)


def search_table(runs: Sequence[Run]) -> list[dict]:
    """A line for each protocol and run: ``name``, ``run``, ``cells``.

    The best of the runs that have a row is marked where there are several.
    """
    tables = {run.name: rows(run.result) for run in runs}
    names = dict.fromkeys(name for table in tables.values() for name in table)
    lines = []
    for name in (name for name in names if name != 'det'):
        found = {run: t[name] for run, t in tables.items() if name in t}
        top = {f: max(row[f] for row in found.values()) for f in FIGURES}
        for run, row in found.items():
            cells = [
                Cell(percent(row[f]), len(found) > 1 and row[f] == top[f])
                for f in FIGURES
            ]
            cells += [Cell(str(row[count])) for count in COUNTS]
            lines.append(dict(name=name, run=run, cells=cells))
            name = ''
    return lines


def detection_table(runs: Sequence[Run]) -> list[list[str]]:
    """A line for each run that has detection figures."""
    lines = []
    for run in runs:
        figures = rows(run.result).get('det')
        if figures:
            lines.append(
                [
                    run.name,
                    percent(figures['AP']),
                    percent(figures['recall']),
                    *(str(figures[name]) for name in ('found', 'gt', 'boxes')),
                    *_labelled(figures),
                ]
            )
    return lines


def _labelled(figures: dict[str, float]) -> list[str]:
    """Cells of labelled people; results of older versions have none."""
    if not figures.get('gt-labelled'):
        return ['-'] * 3
    return [
        percent(figures['recall-labelled']),
        *(str(figures[f'{name}-labelled']) for name in ('found', 'gt')),
    ]


def query_sections(
    run: Run,
    image_dir: str | Path | None,
    protocol: str | None,
    num_each: int,
    det_thr: float,
) -> tuple[list[Section], list[str]]:
    """Pictures of the worst and the best queries, and why there are none."""
    if image_dir is None:
        return [], [
            f'{run.name}: no folder of images was given (--images), so there '
            'are no pictures of its queries.'
        ]
    search = search_of_features(run.features, det_thr)
    paths = image_paths(search.image_names, image_dir)
    name = choose(search, protocol)
    lines = search.worst_first(name)
    sections = []
    for kind, places in zip(
        ('worst', 'best'), ends(lines, num_each), strict=True
    ):
        try:
            pictures = [
                Picture(
                    data_uri(
                        query_sheet(search, paths, name, lines[p].position)
                    ),
                    f'{p + 1} of {len(lines)}',
                )
                for p in places
            ]
        except FileNotFoundError as error:
            return [], [f'{run.name}: no pictures of its queries: {error}.']
        if pictures:
            heading = f'{run.name}: {kind} queries of {name}'
            sections.append(Section(heading, pictures))
    return sections, []
