"""Writes the annotation files of the CUHK-SYSU layout."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from . import mat5
from .knobs import Knobs
from .plan import Appearance, Drawn, half_counts
from .plan_cuhk_sysu import CuhkSysuPlan

#: Where the pictures go.
PICTURES = 'Image/SSM'

_ABSENT = mat5.numbers(np.zeros((1, 0)))


def write(
    root: Path, plan: CuhkSysuPlan, drawn: Sequence[Drawn], knobs: Knobs
) -> Iterator[Path]:
    """Write all annotation files below ``root``; yield each when written."""
    writer = _Writer(plan, drawn, knobs)
    annotation = root / 'annotation'
    protocols = annotation / 'test/train_test'
    subsets = annotation / 'test/subset'
    protocols.mkdir(parents=True)
    subsets.mkdir()
    yield mat5.write_file(annotation / 'Images.mat', writer.images())
    yield mat5.write_file(annotation / 'Person.mat', writer.persons())
    yield mat5.write_file(annotation / 'pool.mat', writer.pool())
    yield mat5.write_file(protocols / 'Train.mat', writer.train())
    everyone = range(len(plan.queries))
    hidden, small = writer.subsets()
    size = max(g for g in plan.size.galleries if g <= 100)
    yield writer.protocol(
        subsets / 'Occlusion.mat', 'Occlusion1', hidden, size
    )
    yield writer.protocol(subsets / 'Resolution.mat', 'Test_Size', small, size)
    for size in plan.size.galleries:
        name = f'TestG{size}'
        yield writer.protocol(protocols / f'{name}.mat', name, everyone, size)


def counts_of(plan: CuhkSysuPlan) -> dict[str, int]:
    """Return the counts of a data set, named as its check names them."""
    positives = sum(len(p) for p in plan.positives)
    counts = {
        **half_counts('train', plan.pictures, plan.train),
        **half_counts('test', plan.pictures, plan.test),
        'queries': len(plan.queries),
        'query images': len({picture for picture, _ in plan.queries}),
    }
    for size in plan.size.galleries:
        counts[f'queries/G{size}'] = len(plan.queries)
        counts[f'positives/G{size}'] = positives
    return counts


class _Writer:
    """Turns a plan and the boxes found by drawing it into elements."""

    def __init__(
        self, plan: CuhkSysuPlan, drawn: Sequence[Drawn], knobs: Knobs
    ) -> None:
        self.plan, self.drawn, self.knobs = plan, drawn, knobs
        self.names = [mat5.text(p.name) for p in plan.pictures]
        self.absent = [name + _ABSENT + _ABSENT for name in self.names]
        self.where = {}
        for index, picture in enumerate(plan.pictures):
            for position, identity in enumerate(picture.people):
                place = index, position
                self.where.setdefault(identity, []).append(place)

    def box(self, place: Appearance) -> bytes:
        """Return idlocate and ishard of one person."""
        drawn = self.drawn[place[0]]
        hard = drawn.visible[place[1]] < self.knobs.hard_below
        return mat5.numbers(drawn.bboxes[place[1]]) + mat5.numbers(hard)

    def scene(self, places: Sequence[Appearance]) -> bytes:
        rows = [self.names[place[0]] + self.box(place) for place in places]
        return mat5.structs(('imname', 'idlocate', 'ishard'), rows)

    def images(self) -> bytes:
        """Return Img, with a few empty boxes among the good ones."""
        rng = np.random.default_rng([self.plan.seed, 22])
        pictures = self.plan.pictures
        count = self.plan.size.zero_boxes
        odd = set(rng.choice(len(pictures), count, replace=False).tolist())
        rows = []
        for index, picture in enumerate(pictures):
            boxes = [self.box((index, k)) for k in range(len(picture.people))]
            if index in odd:
                empty = [int(rng.integers(1, 100)) for _ in range(4)]
                empty[2 + int(rng.integers(2))] = 0
                boxes.insert(
                    int(rng.integers(len(boxes) + 1)),
                    mat5.numbers(empty) + mat5.numbers(0),
                )
            box = mat5.structs(('idlocate', 'ishard'), boxes)
            rows.append(self.names[index] + mat5.numbers(len(boxes)) + box)
        return mat5.structs(('imname', 'nAppear', 'box'), rows, 'Img')

    def _person(self, identity: int) -> bytes:
        places = self.where[identity]
        return (
            mat5.text(self.plan.idnames[identity])
            + mat5.numbers(len(places))
            + self.scene(places)
        )

    def persons(self) -> bytes:
        names = self.plan.idnames
        order = sorted(range(len(names)), key=lambda k: int(names[k][1:]))
        rows = [self._person(k) for k in order]
        return mat5.structs(('idname', 'nAppear', 'scene'), rows, 'Person')

    def pool(self) -> bytes:
        names = [self.names[k] for k in self.plan.test]
        return mat5.cells(names, 'pool')

    def train(self) -> bytes:
        fields = ('idname', 'nAppear', 'scene')
        rows = [
            mat5.structs(fields, [self._person(k)])
            for k in range(self.plan.size.train.identities)
        ]
        return mat5.cells(rows, 'Train')

    def subsets(self) -> tuple[list[int], list[int]]:
        """Return the queries that are most hidden, and the smallest."""
        hidden, small = [], []
        for query, (picture, position) in enumerate(self.plan.queries):
            drawn = self.drawn[picture]
            hidden.append((drawn.visible[position], query))
            small.append((int(drawn.bboxes[position, 3]), query))
        size = self.plan.size
        return (
            sorted(q for _, q in sorted(hidden)[: size.occlusion]),
            sorted(q for _, q in sorted(small)[: size.resolution]),
        )

    def protocol(
        self, path: Path, name: str, queries: Sequence[int], size: int
    ) -> Path:
        """Write queries and their galleries of ``size`` pictures."""
        return mat5.write_long_structs(
            path,
            ('Query', 'Gallery'),
            len(queries),
            name,
            lambda: self._rows(queries, size),
        )

    def _rows(self, queries: Sequence[int], size: int) -> Iterator[bytes]:
        for query in queries:
            place = self.plan.queries[query]
            positives = self.plan.positives[query]
            idname = self.plan.idnames[self.plan.identity(query)]
            distractors = self.plan.distractors(query)
            entries = [self.names[p[0]] + self.box(p) for p in positives]
            entries += [
                self.absent[k] for k in distractors[: size - len(positives)]
            ]
            if len(entries) != size:
                raise ValueError(
                    f'query {query}: {len(entries)} pictures for a gallery '
                    f'of {size}; leave out TestG{size} or add test pictures'
                )
            yield mat5.structs(
                ('imname', 'idlocate', 'ishard', 'idname'),
                [self.names[place[0]] + self.box(place) + mat5.text(idname)],
            ) + mat5.structs(('imname', 'idlocate', 'ishard'), entries)
