"""Compare an exported network with the one that it was exported from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table

from mmps.evaluation.features import iou
from mmps.evaluation.result_text import to_text
from mmps.inference.advice import SAME_PERSON
from mmps.inference.people import People, SearchNetwork
from mmps.inference.scenes import Picture, as_scene


@dataclass(frozen=True)
class Limits:
    """What may differ.

    Attributes:
        box: Corners, as a share of the longer side of the box.
        score: Scores.
        embedding: Distance of two embeddings of unit length.
        lost: Share of people that one network finds and the other does not.
    """

    box: float
    score: float
    embedding: float
    lost: float


#: By precision. Those of float32 are for sums in another order.
LIMITS = {
    'fp32': Limits(1e-4, 1e-5, 1e-5, 0.0),
    'int8': Limits(0.15, 0.2, 0.35, 0.1),
}


@dataclass(frozen=True)
class Difference:
    """How two networks differ on pictures; the largest differences.

    Attributes:
        people: Found by either of them.
        lost: Found by one of them alone.
        box: As of ``Limits``.
        score: As of ``Limits``.
        embedding: As of ``Limits``, of detections.
        query: The same of boxes that were given, NaN if none was.
    """

    people: int
    lost: int
    box: float
    score: float
    embedding: float
    query: float

    def above(self, limits: Limits) -> list[str]:
        """Names of what differs by more than it may."""
        wrong = [
            name
            for name in ('box', 'score', 'embedding')
            if getattr(self, name) > getattr(limits, name)
        ]
        if self.query > limits.embedding:
            wrong.append('query')
        if self.lost > limits.lost * self.people:
            wrong.append('lost')
        return wrong


def differences(
    first: SearchNetwork,
    second: SearchNetwork,
    pictures: Sequence[Picture],
    det_thr: float,
    embed_given: bool = True,
) -> list[Difference]:
    """How two networks differ on each picture.

    Args:
        first: One network.
        second: The other one.
        pictures: Paths of images, or pixels.
        det_thr: Score of a person who was found.
        embed_given: Whether the best box of each picture is also given to
            both as that of a query.
    """
    found = []
    for picture in pictures:
        scene = as_scene(picture)
        networks = first, second
        one, other = (
            network.detect([network.prepare(scene)])[0] for network in networks
        )
        query = np.nan
        if embed_given and len(one.bboxes):
            a, b = (
                network.embed(network.prepare(scene, one.bboxes[0]))
                for network in networks
            )
            query = float(np.linalg.norm(a - b))
        found.append(difference(one, other, det_thr, query))
    return found


def difference(
    one: People, other: People, det_thr: float, query: float = np.nan
) -> Difference:
    """How the people of one picture differ.

    Who has a score of ``det_thr`` in one of them needs a partner in the
    other, with any score; partners are those that overlap most.

    Args:
        one: As one network finds them.
        other: As the other one does.
        det_thr: Score of a person who was found.
        query: Passed on.
    """
    overlaps = iou(one.bboxes[:, None], other.bboxes[None])
    partners = []
    while overlaps.size and overlaps.max() >= SAME_PERSON:
        row, column = np.unravel_index(overlaps.argmax(), overlaps.shape)
        partners.append((row, column))
        overlaps[row], overlaps[:, column] = -1, -1
    rows, columns = np.array(partners, int).reshape(-1, 2).T
    first, second = (
        People(*(part[chosen] for part in people))
        for people, chosen in ((one, rows), (other, columns))
    )
    counts = (first.scores >= det_thr) | (second.scores >= det_thr)
    alone = sum(
        int((np.delete(people.scores, chosen) >= det_thr).sum())
        for people, chosen in ((one, rows), (other, columns))
    )

    sides = first.bboxes[:, 2:] - first.bboxes[:, :2]
    moved = np.abs(first.bboxes - second.bboxes).max(axis=1, initial=0)

    def largest(values: np.ndarray) -> float:
        return float(values[counts].max(initial=0.0))

    return Difference(
        int(counts.sum()) + alone,
        alone,
        largest(moved / sides.max(axis=1, initial=1e-6)),
        largest(np.abs(first.scores - second.scores)),
        largest(np.linalg.norm(first.embeddings - second.embeddings, axis=1)),
        query,
    )


def total(found: Iterable[Difference]) -> Difference:
    """The largest differences of all pictures, and the sums of people."""
    found = list(found)
    queries = [one.query for one in found if not np.isnan(one.query)]
    return Difference(
        sum(one.people for one in found),
        sum(one.lost for one in found),
        *(
            max((getattr(one, name) for one in found), default=0.0)
            for name in ('box', 'score', 'embedding')
        ),
        max(queries, default=np.nan),
    )


def table(
    names: Sequence[str], found: Sequence[Difference], limits: Limits
) -> str:
    """Text of what differs, with the limits as the last line.

    Args:
        names: Of the pictures.
        found: From ``differences``.
        limits: What may differ.
    """
    text = Table()
    columns = ('people', 'lost', 'box', 'score', 'embedding', 'query')
    text.add_column('picture', no_wrap=True)
    for column in columns:
        text.add_column(column, justify='right', no_wrap=True)
    for name, one in zip((*names, 'all'), (*found, total(found)), strict=True):
        numbers = (one.box, one.score, one.embedding, one.query)
        text.add_row(
            name,
            *(str(one.people), str(one.lost)),
            *(f'{number:.1e}' for number in numbers),
        )
    text.add_row(
        'limit',
        *('', f'{limits.lost:.0%}', f'{limits.box:g}', f'{limits.score:g}'),
        *[f'{limits.embedding:g}'] * 2,
    )
    return to_text(text)
