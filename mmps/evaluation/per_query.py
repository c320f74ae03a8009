"""What each query of a test found, as a table for programs that count.

A ``.csv`` file has a line of names and a line for each query of each row of
the result; a ``.json`` file is a list of objects with the same names:

    protocol  row of the result, such as G100 or G100+cws
    query     position of the query in the test set
    identity  name of the person
    image     name of the query's image
    AP        average precision times recall, unrounded; empty (null) where
              the gallery does not show the person
    rank      of the first true positive, from 1; empty (null) if none
    found     true positives
    gt        gallery entries that show the person
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mmps.atomic_files import write_text
from mmps.structures import Protocol, Query

from .search import SearchScore

COLUMNS = (
    'protocol',
    'query',
    'identity',
    'image',
    'AP',
    'rank',
    'found',
    'gt',
)
SUFFIXES = ('.csv', '.json')


class QueryLine(NamedTuple):
    """One query in one row of the result.

    Attributes:
        protocol: Name of the row.
        query: Position in metainfo['queries'].
        identity: Name of the person.
        image: Name of the query's image.
        average_precision: In [0, 1]; None without a positive.
        rank: Of the first true positive, from 1; None if there is none.
        num_found: True positives.
        num_gt: Gallery entries that show the person.
    """

    protocol: str
    query: int
    identity: str
    image: str
    average_precision: float | None
    rank: int | None
    num_found: int
    num_gt: int


def lines_of(
    row: str,
    score: SearchScore,
    protocol: Protocol,
    queries: Sequence[Query],
    image_names: Sequence[str],
) -> Iterator[QueryLine]:
    """Lines of one row of the result, in the order of the protocol.

    Args:
        row: Name of the row of the result, such as 'G100+cws'.
        score: Of the n queries of the protocol.
        protocol: n queries.
        queries: metainfo['queries'] of the test set.
        image_names: metainfo['image_names'] of the test set.
    """
    for number, ap, rank, found, gt in zip(
        np.asarray(protocol.queries).tolist(),
        score.average_precision.tolist(),
        score.rank.tolist(),
        score.num_found.tolist(),
        score.num_gt.tolist(),
        strict=True,
    ):
        query = queries[number]
        yield QueryLine(
            row,
            number,
            query.identity,
            image_names[query.image],
            ap if gt else None,
            rank or None,
            found,
            gt,
        )


def check_per_query(path: str | os.PathLike) -> None:
    """Refuse a name that says neither csv nor json, before anything runs."""
    if Path(path).suffix not in SUFFIXES:
        raise ValueError(
            f'{path}: results per query need a name that ends in '
            f'{" or ".join(SUFFIXES)}'
        )


def write_per_query(
    lines: Iterable[QueryLine], path: str | os.PathLike
) -> None:
    """Write lines; the file appears whole or not at all.

    Args:
        lines: Lines of all queries, row after row of the result.
        path: Its suffix says the format, its folder is made.

    Raises:
        ValueError: Another suffix.
    """
    check_per_query(path)
    if Path(path).suffix == '.json':
        objects = [dict(zip(COLUMNS, line, strict=True)) for line in lines]
        rows = ',\n'.join(json.dumps(o, ensure_ascii=False) for o in objects)
        write_text(path, f'[\n{rows}\n]\n')
        return
    out = io.StringIO()
    writer = csv.writer(out, lineterminator='\n')
    writer.writerow(COLUMNS)
    writer.writerows(lines)  # None is an empty cell, floats are unrounded
    write_text(path, out.getvalue())


def read_per_query(path: str | os.PathLike) -> list[QueryLine]:
    """Read what ``write_per_query`` wrote; other columns are passed over.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Another suffix, or something else in the file.
    """
    check_per_query(path)
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: no such file; --per-query of `mmps test` and `mmps '
            'score` writes one'
        )
    text = path.read_text(encoding='utf-8')
    try:
        if path.suffix == '.json':
            objects = json.loads(text)
        else:
            # csv itself tells line ends from those within quotes
            objects = csv.DictReader(io.StringIO(text, newline=''))
            missing = set(COLUMNS) - set(objects.fieldnames or ())
            if missing:
                raise ValueError(f'no column {", ".join(sorted(missing))}')
        return [_parsed(o, number) for number, o in enumerate(objects, 1)]
    except (TypeError, ValueError, csv.Error) as error:
        raise ValueError(
            f'{path}: not a file with results per query ({error}); '
            '--per-query writes one'
        ) from error


def _parsed(values: object, number: int) -> QueryLine:
    """A line of strings or of JSON values."""
    if not isinstance(values, dict) or not set(COLUMNS) <= values.keys():
        raise ValueError(f'entry {number} does not have {", ".join(COLUMNS)}')
    protocol, query, identity, image, ap, rank, found, gt = (
        values[name] for name in COLUMNS
    )
    try:
        line = QueryLine(
            str(protocol),
            int(query),
            str(identity),
            str(image),
            None if ap in ('', None) else float(ap),
            None if rank in ('', None) else int(rank),
            int(found),
            int(gt),
        )
    except (TypeError, ValueError) as error:
        raise ValueError(f'entry {number}: {error}') from error
    if line.num_gt == 0:
        fits = line.average_precision is None
    else:
        fits = 0 <= (line.average_precision or 0) <= 1
        fits = fits and line.average_precision is not None
    if not fits:
        raise ValueError(
            f'entry {number}: AP {ap!r} with gt {gt!r}; AP must be empty if '
            'gt is 0, and otherwise in [0, 1]'
        )
    return line
