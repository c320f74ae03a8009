"""How much does a trained network look at its query?

Symbols used in this file:
    Q   queries
    G   gallery images
    B   pairs that are run at a time
    C   channels of a block, or of the C4 map
    N   people of an image

Two questions. For a fixed gallery image, what changes with the query: the
gates, and the C4 map? And where the query's person stands beside others, who
gets the higher score: from the QRPN, from QSimNet, and, to compare, from the
cosine of the embeddings?
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox2roi, scale_boxes
from torch import Tensor, nn
from tqdm import tqdm

from mmps.models.guidance import (
    mean_of_known,
    people_scores,
    query_order,
    spread,
)
from mmps.models.qsse_resnet import Stream
from mmps.structures import Protocol


@dataclass(frozen=True)
class BlockGates:
    """Gates of one residual block over Q queries and G gallery images.

    Attributes:
        smallest: Smallest value of a gate.
        largest: Largest value of a gate.
        over_queries: Standard deviation over the queries, for a fixed gallery
            image and channel; mean over both. 0 is inert.
        over_channels: Standard deviation over the channels of what is left
            when queries are averaged; mean over the images.
    """

    smallest: float
    largest: float
    over_queries: float
    over_channels: float


@dataclass(frozen=True)
class Guidance:
    """What a network makes of its queries.

    Attributes:
        queries: Q.
        images: G.
        gates: Of each block in order; empty without QSSE.
        map_change: Spread of the gallery's C4 map over the queries, divided
            by its root mean square.
        cases: Images that show the query's person and somebody else.
        qrpn_order: Share of the others that the person scores above, mean
            over the cases; 0.5 is blind. None without QRPN.
        qsim_order: The same of the similarity; None without QSimNet.
        cosine_order: The same share by the cosine of the embeddings.
    """

    queries: int
    images: int
    gates: tuple[BlockGates, ...]
    map_change: float
    cases: int
    qrpn_order: float | None
    qsim_order: float | None
    cosine_order: float


@torch.no_grad()
def look(
    model: nn.Module,
    dataset,
    protocol: Protocol,
    num_queries: int = 50,
    num_images: int = 8,
) -> Guidance:
    """Measure how much a query-guided network depends on its query.

    Args:
        model: A ``QEEPS`` in eval mode.
        dataset: Test set of the protocol, which gives pictures and people.
        protocol: Queries and galleries; ``num_queries`` evenly spread ones
            are taken.
        num_queries: Q, at least 2.
        num_images: G, for gates and maps; evenly spread over the test set.

    Raises:
        ValueError: Less than two queries, or no image shows a query's person
            and somebody else.
    """
    positions = evenly(len(protocol.queries), num_queries)
    if len(positions) < 2:
        raise ValueError(
            'guidance is a difference between queries: at least 2 are '
            f'needed, got {len(positions)}'
        )
    reader = Reader(model, dataset)
    queries = [int(protocol.queries[position]) for position in positions]
    states = [reader.query(query) for query in queries]
    images = evenly(len(dataset), num_images)
    gates, change = of_fixed_images(
        model, states, [reader.gallery(image)[0] for image in images]
    )
    orders = []
    for position, query, state in zip(
        positions, queries, tqdm(states, unit=' queries'), strict=True
    ):
        identity = reader.identity(query)
        for image in np.unique(protocol.galleries[position].positives):
            order = orders_of_pair(
                model, state, *reader.gallery(int(image)), identity
            )
            if order is not None:
                orders.append(order)
    if not orders:
        raise ValueError(
            "no image of these galleries shows a query's person and somebody "
            'else; take more queries'
        )
    qrpn, qsim, cosine = map(mean_or_none, zip(*orders, strict=True))
    return Guidance(
        queries=len(queries),
        images=len(images),
        gates=gates,
        map_change=change,
        cases=len(orders),
        qrpn_order=qrpn,
        qsim_order=qsim,
        cosine_order=cosine,
    )


class Reader:
    """Images of a test set, as far as they do not depend on each other.

    Args:
        model: A ``QEEPS``.
        dataset: Test set of the protocol, which gives pictures and people.
    """

    def __init__(self, model: nn.Module, dataset) -> None:
        self.model = model
        self.dataset = dataset
        names = dataset.metainfo['test_identity_names']
        self._identities = {name: row for row, name in enumerate(names)}
        self._queries = dataset.metainfo['queries']

    def identity(self, query: int) -> int:
        """Number of a query's person among ``instances_ids``."""
        return self._identities[self._queries[query].identity]

    def query(self, number: int) -> tuple[Stream, Tensor]:
        """Stream of a query, and its box (1, 4) in input pixels."""
        inputs, sample = self.image(self._queries[number].image)
        given = sample.query_instances
        box = given.bboxes[given.query_ids == number][:1].to(inputs)
        box = scale_boxes(box, sample.scale_factor)
        sizes = [sample.img_shape[:2]]
        return self.model.backbone.begin(inputs, sizes, box), box

    def gallery(self, number: int) -> tuple[Stream, DetDataSample]:
        """Stream and sample of a gallery image."""
        inputs, sample = self.image(number)
        sizes = [sample.img_shape[:2]]
        return self.model.backbone.begin(inputs, sizes), sample

    def image(self, number: int) -> tuple[Tensor, DetDataSample]:
        """(1, 3, H, W) input of an image, and its sample."""
        item = self.dataset[number]
        data = self.model.data_preprocessor(
            dict(inputs=[item['inputs']], data_samples=[item['data_samples']]),
            False,
        )
        return data['inputs'], data['data_samples'][0]


def of_fixed_images(
    model: nn.Module,
    states: Sequence[tuple[Stream, Tensor]],
    images: Sequence[Stream],
) -> tuple[tuple[BlockGates, ...], float]:
    """``Guidance.gates`` and ``Guidance.map_change``.

    Args:
        model: A ``QEEPS``.
        states: Q of ``Reader.query``.
        images: G streams of ``Reader.gallery``.
    """
    gates, changes = [], []
    for image in images:
        of_image, maps = [], []
        for stream, _ in states:
            averages = []
            _, feats = model.backbone.continue_pairs(stream, image, averages)
            if averages:
                of_image.append(model.backbone.gates_of_queries(averages))
            maps.append(feats)
        gates.append(
            [torch.cat(block) for block in zip(*of_image, strict=True)]
        )
        maps = torch.cat(maps).flatten(1).float()
        changes.append(spread(maps) / maps.square().mean().sqrt())
    blocks = [torch.stack(of_block) for of_block in zip(*gates, strict=True)]
    return (
        tuple(
            BlockGates(
                smallest=float(block.min()),
                largest=float(block.max()),
                over_queries=float(block.std(dim=1).mean()),
                over_channels=float(block.mean(dim=1).std(dim=1).mean()),
            )
            for block in blocks  # (G, Q, C)
        ),
        float(torch.stack(changes).mean()),
    )


def orders_of_pair(
    model: nn.Module,
    state: tuple[Stream, Tensor],
    image: Stream,
    sample: DetDataSample,
    identity: int,
) -> tuple[Tensor | None, Tensor | None, Tensor] | None:
    """Who scores higher, the query's person or the others of an image?

    Args:
        model: A ``QEEPS``.
        state: The query, as ``Reader.query`` gives it.
        image: Gallery image, as ``Reader.gallery`` gives it.
        sample: Data sample of that image, with all its people.
        identity: Test identity of the query's person.

    Returns:
        ``query_order`` of the QRPN, of the similarity and of the cosine, None
        for a part that the network lacks; None if the image does not show
        the person and somebody else.
    """
    people = sample.gt_instances
    wanted = (people.instances_ids == identity).to(image.x.device)
    if not wanted.any() or wanted.all():
        return None
    boxes = people.bboxes.to(image.x.device, torch.float32)
    boxes = scale_boxes(boxes, sample.scale_factor)
    query, box = state
    query_map, feats = model.backbone.continue_pairs(query, image)
    head = model.roi_head
    region = head.bbox_roi_extractor((query_map,), bbox2roi([box]))
    qrpn = None
    if model.rpn_head.query_guided:
        logits = model.rpn_head.query_scores(feats, region.mean(dim=(2, 3)))
        anchors, _ = model.rpn_head.get_anchors(
            [feats.shape[-2:]], [sample.metainfo], feats.device
        )
        scores = people_scores(logits[0].float(), anchors[0][0], boxes)
        qrpn = query_order(scores, wanted)
    query = head.oim_head(head.over_cells(head.shared_head(region)))
    found = head.oim_head(head.pool((feats,), bbox2roi([boxes])))
    cosine = query_order((query * found).sum(dim=1), wanted)
    qsim = None
    if head.sim_head is not None:
        similarity = head.sim_head.similarity(query.expand_as(found), found)
        qsim = query_order(similarity, wanted)
    return qrpn, qsim, cosine


def mean_or_none(orders: Sequence[Tensor | None]) -> float | None:
    """Mean of what is known; None for a part that the network lacks, and if
    nobody stands where an anchor could score."""
    mean = mean_of_known([order for order in orders if order is not None])
    return None if mean is None else float(mean)


def evenly(total: int, wanted: int) -> list[int]:
    """At most ``wanted`` numbers of range(total), evenly spread."""
    if total <= wanted:
        return list(range(total))
    return [int(i) for i in np.linspace(0, total - 1, wanted).round()]


def describe_guidance(guidance: Guidance) -> str:
    """Text for a terminal."""
    lines = [
        f'{guidance.images} gallery images, {guidance.queries} queries on each'
    ]
    if guidance.gates:
        names = ('smallest', 'largest', 'over queries', 'over channels')
        lines.append('block' + ''.join(f'{name:>15}' for name in names))
        lines += [
            f'{number:5}{block.smallest:15.4f}{block.largest:15.4f}'
            f'{block.over_queries:15.2g}{block.over_channels:15.2g}'
            for number, block in enumerate(guidance.gates, 1)
        ]
        lines.append(
            '(standard deviations of a gate: 0 over queries means no effect)'
        )
    else:
        lines.append('no gates (backbone.gated=False)')
    lines += [
        f"the gallery's C4 map changes by {100 * guidance.map_change:.2g} % "
        'of its size from query to query',
        f"{guidance.cases} images with the query's person and others: the "
        'person scores higher in',
    ]
    for name, order in (
        ('QRPN', guidance.qrpn_order),
        ('QSimNet', guidance.qsim_order),
        ('cosine', guidance.cosine_order),
    ):
        text = 'none' if order is None else f'{100 * order:.1f} %'
        lines.append(f'{name:>10}  {text}')
    return '\n'.join(lines)
