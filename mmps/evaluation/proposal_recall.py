"""Is the query's person among the first proposals?

Symbols used in this file:
    n   proposals of one image, best first
    m   people that were looked for, each in one image
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from .features import iou
from .pair_test_loop import PairTestLoop
from .scoring import select


@dataclass(frozen=True, eq=False)
class Case:
    """A query and an image of its gallery that shows the person.

    Attributes:
        query: Position in metainfo['queries'].
        image: Index in metainfo['image_names'].
        bbox: (4,) of the person there, in original pixels.
        rpn: (n, 4) proposals of the RPN alone, best first.
        guided: (n, 4) of RPN and QRPN merged.
    """

    query: int
    image: int
    bbox: np.ndarray
    rpn: np.ndarray
    guided: np.ndarray

    @property
    def rpn_rank(self) -> int:
        """See ``rank_of_person``."""
        return rank_of_person(self.rpn, self.bbox)

    @property
    def guided_rank(self) -> int:
        """See ``rank_of_person``."""
        return rank_of_person(self.guided, self.bbox)


def proposals_of_pairs(
    loop: PairTestLoop, protocol: str, num_queries: int | None = None
) -> list[Case]:
    """Propose for all queries, in all images that show the person.

    Args:
        loop: With the network; see ``mmps.apis.load_pair_loop``.
        protocol: Name of the protocol.
        num_queries: Use only this number of queries, the first of the
            protocol; None for all.
    """
    searcher = loop.searcher()
    protocols = loop.dataset.metainfo['protocols']
    asked = select(protocols, [protocol])[protocol]
    queries = np.asarray(asked.queries)[:num_queries]
    cases = []
    with loop.pictures() as pictures:
        for position, query in enumerate(
            tqdm(queries, unit=' queries', disable=None)
        ):
            gallery = asked.galleries[position]
            ((item, box),) = pictures.queries([int(query)])
            state = searcher.begin_query(item, box)
            shown = dict(
                zip(gallery.positives.tolist(), gallery.bboxes, strict=True)
            )
            items = pictures.images(list(shown))
            for (image, bbox), item in zip(shown.items(), items, strict=True):
                plain, guided = searcher.proposals(
                    state, searcher.begin_gallery(item)
                )
                cases.append(
                    Case(
                        int(query),
                        image,
                        bbox,
                        plain.numpy(force=True),
                        guided.numpy(force=True),
                    )
                )
    return cases


def rank_of_person(
    proposals: np.ndarray, bbox: np.ndarray, iou_thr: float = 0.5
) -> int:
    """Rank of the first proposal that lies on a person.

    Args:
        proposals: (n, 4) boxes, best first.
        bbox: (4,) box of the person, in the same pixels.
        iou_thr: Least overlap.

    Returns:
        1 for the first proposal, ...; 0 if none lies on the person.
    """
    hits = iou(proposals, bbox) >= iou_thr
    return int(hits.argmax()) + 1 if hits.any() else 0


def recall_at(ranks: Sequence[int], tops: Iterable[int]) -> dict[int, float]:
    """Share of the m people that are among the first k proposals, each k.

    Args:
        ranks: (m,) of ``rank_of_person``, m >= 1.
        tops: The k.
    """
    ranks = np.asarray(ranks)
    return {top: float(((ranks > 0) & (ranks <= top)).mean()) for top in tops}


def recalls_of(
    cases: Sequence[Case], tops: Sequence[int]
) -> dict[str, dict[int, float]]:
    """``recall_at`` of the RPN alone, and with the QRPN, by name."""
    return {
        'RPN': recall_at([case.rpn_rank for case in cases], tops),
        'RPN + QRPN': recall_at([case.guided_rank for case in cases], tops),
    }


def describe_recalls(recalls: Mapping[str, Mapping[int, float]]) -> str:
    """Text for a terminal, in percent: a line for each way to propose."""
    tops = next(iter(recalls.values()))
    lines = ['k'.rjust(16) + ''.join(f'{k:8}' for k in tops)]
    for name, recall in recalls.items():
        cells = ''.join(f'{100 * value:8.1f}' for value in recall.values())
        lines.append(name.rjust(16) + cells)
    return '\n'.join(lines)
