"""All figures of a test set from one pass over it.

A row of the result is a protocol, or a protocol with a suffix that names what
is not standard about it (``docs/evaluation.md``).
"""

from collections.abc import Mapping, Sequence

import numpy as np

from mmps.evaluation.cbgm import ContextMatching
from mmps.evaluation.detection import score_detection
from mmps.evaluation.features import Boxes, Features
from mmps.evaluation.galleries import DUPLICATES
from mmps.evaluation.pairs import PairFindings, score_pairs
from mmps.evaluation.search import detected_queries, score_search
from mmps.structures import Protocol


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
    if cbgm is not None and set(cbgm) != {'k1', 'k2'}:
        raise ValueError(f'cbgm must be dict(k1=, k2=), got {cbgm}')
    for name, value in (cbgm or {}).items():
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
                'Ask for it in dataset.protocols too, and the file that it '
                'lacks is named'
            )
    return {name: protocols[name] for name in names}


def detection_figures(features: Features, det_thr: float) -> dict:
    """'det/<figure>' -> number."""
    boxes = features.detections.above(det_thr)
    return _named('det', score_detection(boxes, features.ground_truth))


def pair_figures(
    findings: Mapping[int, PairFindings],
    protocols: dict[str, Protocol],
    num_images: int,
    *,
    duplicates: str = 'seqnet',
    cws: bool = False,
) -> dict[str, float]:
    """'<protocol>[+cws]/<figure>' of a search that was run pair by pair."""
    result = {}
    for weighted in (False, True)[: 1 + cws]:
        scores = score_pairs(
            findings,
            protocols,
            num_images,
            duplicates=duplicates,
            cws=weighted,
        )
        for name, score in scores.items():
            result.update(_named(name + '+cws' * weighted, score))
    return result


def evaluate(
    features: Features,
    *,
    det_thr: float = 0.5,
    protocols: Sequence[str] | None = None,
    duplicates: str = 'seqnet',
    cws: bool = False,
    gt_boxes: bool = False,
    cbgm: dict | None = None,
    detected_query: bool = False,
) -> dict[str, float]:
    """Score detection, then each protocol, then each option beside it.

    Args:
        features: Of the whole test set.
        det_thr: Detections below this score are not there.
        protocols: Names; all for None, detection alone for [].
        duplicates: See ``search.score_search``.
        cws: Add rows where similarity is multiplied by the detection score.
        gt_boxes: Add rows where the ground-truth boxes are the detections.
        cbgm: ``dict(k1=, k2=)`` adds rows with context matching.
        detected_query: Add rows where a query is the detection on its box.

    Returns:
        '<protocol>[+<option>]/<figure>' -> int counts and float ratios.
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
        return result
    queries, embeddings = features.queries, features.query_embeddings

    def add(suffix: str, boxes: Boxes, embeddings: np.ndarray, **how) -> None:
        scores = score_search(
            boxes, embeddings, chosen, duplicates=duplicates, **how
        )
        for name, score in scores.items():
            result.update(_named(name + suffix, score))

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
        matching = ContextMatching(boxes, queries, **cbgm)
        add('+cbgm', boxes, embeddings, revise=matching)
    if detected_query:
        found, kept = detected_queries(boxes, queries, embeddings)
        add('+detected-query', boxes, found)
        for name, protocol in chosen.items():
            fallbacks = int(kept[np.asarray(protocol.queries)].sum())
            result[f'{name}+detected-query/fallbacks'] = fallbacks
    return result


def _named(row: str, score) -> dict[str, float]:
    return {f'{row}/{key}': value for key, value in score.summary().items()}
