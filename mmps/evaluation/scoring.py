"""All figures of a test set from one pass over it.

A row of the result is a protocol, or a protocol with a suffix that names what
is not standard about it (``docs/evaluation.md``).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mmps.structures import UNLABELED, Protocol, Query

from .cbgm import VARIANTS
from .detection import score_detection, score_labelled
from .features import Boxes, Features
from .galleries import DUPLICATES
from .pairs import PairFindings, score_pairs
from .per_query import QueryLine, lines_of
from .search import SearchScore, detected_queries, score_search


class Scored(NamedTuple):
    """A test set that has been scored.

    Attributes:
        result: '<row>/<figure>' -> number, ratios in [0, 1].
        queries: What each query found, row after row.
    """

    result: dict[str, float]
    queries: list[QueryLine]


class Row(NamedTuple):
    """One row of the result.

    Attributes:
        name: Name of the protocol, such as 'G100'.
        suffix: What is not standard about it, '' if nothing.
        score: Counts of every query of the protocol.
    """

    name: str
    suffix: str
    score: SearchScore


def check_options(
    *,
    det_thr: float,
    protocols: Sequence[str] | None,
    duplicates: str,
    cbgm: dict | None,
) -> None:
    """Refuse what no test set could be scored with."""
    if not 0 <= det_thr <= 1:
        raise ValueError(f'det_thr must be in [0, 1], got {det_thr}')
    if isinstance(protocols, str):
        raise TypeError(f"protocols must be a list: ['{protocols}']")
    if duplicates not in DUPLICATES:
        raise ValueError(
            f'duplicates must be one of {DUPLICATES}, got {duplicates!r}'
        )
    if cbgm is None:
        return
    if set(cbgm) - {'variant'} != {'k1', 'k2'}:
        raise ValueError(
            f'cbgm must be dict(k1=, k2=), with or without variant=, got '
            f'{cbgm}'
        )
    if cbgm.get('variant', 'published') not in VARIANTS:
        raise ValueError(
            f'cbgm: variant must be one of {tuple(VARIANTS)}, got '
            f'{cbgm["variant"]!r}'
        )
    for name, value in cbgm.items():
        if name == 'variant':
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f'cbgm: {name} must be an int >= 1, got {value}')


def select(
    protocols: dict[str, Protocol], names: Sequence[str] | None
) -> dict[str, Protocol]:
    """Protocols by name, all for None."""
    if names is None:
        return dict(protocols)
    for name in names:
        if name not in protocols:
            known = ', '.join(protocols) or 'none'
            raise ValueError(
                f"no protocol '{name}' in this test set; it has: {known}. "
                'Add it to dataset.protocols to see which file is missing'
            )
    return {name: protocols[name] for name in names}


def detection_figures(features: Features, det_thr: float) -> dict:
    """'det/<figure>' -> number."""
    boxes, people = features.detections.above(det_thr), features.ground_truth
    figures = score_detection(boxes, people).summary()
    is_labelled = np.asarray(features.gt_ids) > UNLABELED
    figures |= score_labelled(boxes, people, is_labelled)
    return {f'det/{key}': value for key, value in figures.items()}


def pair_figures(
    findings: Mapping[int, PairFindings],
    protocols: dict[str, Protocol],
    num_images: int,
    *,
    duplicates: str = 'seqnet',
    cws: bool = False,
) -> dict[str, float]:
    """'<protocol>[+cws]/<figure>' of a search that was run pair by pair."""
    rows = _pair_rows(findings, protocols, num_images, duplicates, cws)
    return {key: v for row in rows for key, v in _named(row).items()}


def score_findings(
    findings: Mapping[int, PairFindings],
    protocols: dict[str, Protocol],
    queries: Sequence[Query],
    image_names: Sequence[str],
    *,
    duplicates: str = 'seqnet',
    cws: bool = False,
) -> Scored:
    """Score a search that was run pair by pair.

    Args:
        findings: Query number -> findings; every query of the protocols is
            there.
        protocols: name -> protocol.
        queries: metainfo['queries'] of the test set.
        image_names: metainfo['image_names'] of the test set.
        duplicates: ``'seqnet'``, ``'oim'`` or ``'unique'``: how an image that
            a gallery lists twice counts, see ``search.score_search``.
        cws: Add rows where similarity is multiplied by the detection score.
    """
    rows = _pair_rows(findings, protocols, len(image_names), duplicates, cws)
    return _scored({}, rows, protocols, queries, image_names)


def _pair_rows(
    findings: Mapping[int, PairFindings],
    protocols: dict[str, Protocol],
    num_images: int,
    duplicates: str,
    cws: bool,
) -> Iterator[Row]:
    for weighted in (False, True)[: 1 + cws]:
        scores = score_pairs(
            findings,
            protocols,
            num_images,
            duplicates=duplicates,
            cws=weighted,
        )
        for name, score in scores.items():
            yield Row(name, '+cws' * weighted, score)


def evaluate(features: Features, **options) -> dict[str, float]:
    """Score detection, then each protocol, then each option beside it.

    Args:
        features: Boxes and embeddings of all images and queries.
        options: Those of ``score_features``.

    Returns:
        '<protocol>[+<option>]/<figure>' -> int counts and float ratios.
    """
    return score_features(features, **options).result


def score_features(
    features: Features,
    *,
    det_thr: float = 0.5,
    protocols: Sequence[str] | None = None,
    duplicates: str = 'seqnet',
    cws: bool = False,
    gt_boxes: bool = False,
    cbgm: dict | None = None,
    detected_query: bool = False,
) -> Scored:
    """Score detection, then each protocol, then each option beside it.

    Args:
        features: Boxes and embeddings of all images and queries.
        det_thr: Detections below this score are not there.
        protocols: Names; all for None, detection alone for [].
        duplicates: ``'seqnet'``, ``'oim'`` or ``'unique'``: how an image that
            a gallery lists twice counts, see ``search.score_search``.
        cws: Add rows where similarity is multiplied by the detection score.
        gt_boxes: Add rows where the ground-truth boxes are the detections.
        cbgm: ``dict(k1=, k2=)`` adds rows with context matching as the
            published program does it, ``variant='sum'`` in it those of
            another reading of the paper; see ``cbgm``.
        detected_query: Add rows where a query is the detection on its box.
    """
    check_options(
        det_thr=det_thr,
        protocols=protocols,
        duplicates=duplicates,
        cbgm=cbgm,
    )
    boxes = features.detections.above(det_thr)
    result = detection_figures(features, det_thr)
    chosen = select(features.protocols, protocols)
    if not chosen:
        return Scored(result, [])
    queries, embeddings = features.queries, features.query_embeddings
    rows: list[Row] = []

    def add(suffix: str, boxes: Boxes, embeddings: np.ndarray, **how) -> None:
        scores = score_search(
            boxes, embeddings, chosen, duplicates=duplicates, **how
        )
        rows.extend(Row(name, suffix, s) for name, s in scores.items())

    add('', boxes, embeddings)
    if cws:
        add('+cws', boxes, embeddings, cws=True)
    if gt_boxes:
        if features.ground_truth.embeddings is None:
            raise ValueError(
                'gt_boxes needs gt_instances.embeddings, which the model did '
                'not return'
            )
        add('+gt-boxes', features.ground_truth, embeddings)
    if cbgm is not None:
        ks = dict(cbgm)
        matching, suffix = VARIANTS[ks.pop('variant', 'published')]
        add(suffix, boxes, embeddings, revise=matching(boxes, queries, **ks))
    fallbacks = {}
    if detected_query:
        found, kept = detected_queries(boxes, queries, embeddings)
        add('+detected-query', boxes, found)
        for name, protocol in chosen.items():
            count = int(kept[np.asarray(protocol.queries)].sum())
            fallbacks[f'{name}+detected-query/fallbacks'] = count
    scored = _scored(result, rows, chosen, queries, features.image_names)
    scored.result.update(fallbacks)
    return scored


def _scored(
    result: dict[str, float],
    rows: Iterable[Row],
    protocols: Mapping[str, Protocol],
    queries: Sequence[Query],
    image_names: Sequence[str],
) -> Scored:
    """Add rows to a result, and say what each query found in them."""
    scored = Scored(dict(result), [])
    for row in rows:
        scored.result.update(_named(row))
        protocol = protocols[row.name]
        scored.queries.extend(
            lines_of(
                row.name + row.suffix,
                row.score,
                protocol,
                queries,
                image_names,
            )
        )
    return scored


def _named(row: Row) -> dict[str, float]:
    figures = row.score.summary()
    return {f'{row.name}{row.suffix}/{k}': v for k, v in figures.items()}
