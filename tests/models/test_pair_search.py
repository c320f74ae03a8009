import copy
import functools
import random
from dataclasses import dataclass

import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import bbox2roi
from torch import Tensor, nn

from mmps.models.anchor_choice import select_anchors
from mmps.models.bounded_cache import BoundedCache
from mmps.models.pair_search import PairSearcher
from mmps.models.pair_states import GalleryState
from mmps.models.qsse_resnet import Mask, Stream
from tests.models.build import batch, scene
from tests.models.test_qeeps import make as make_training

THRESHOLD = 0.45
PROPOSALS = 20
MEGABYTE = 2**20
#: Height, width and input over original; two of equal padded size.
IMAGES = [
    ((96, 128), 1.0),
    ((80, 112), 1.5),
    ((96, 120), 0.75),
    ((80, 128), 1.0),
]
BOXES = [
    [10.0, 10, 40, 70],
    [50.0, 5, 90, 75],
    [70.0, 20, 100, 75],
    [30.0, 8, 55, 60],
]
#: Spread of weights so that the query matters to what is found.
STRONG = {
    '.fc1.weight': 5.0,
    '.fc2.weight': 5.0,
    'rpn_cls.weight': 1.0,
    'rpn_head.gate.0.weight': 10.0,
    'rpn_head.gate.2.weight': 10.0,
    'qrpn_conv.weight': 0.3,
    'qrpn_cls.weight': 1.0,
    'fc_cls.weight': 10.0,
    'sim_head.fc.weight': 10.0,
}
PARTS = [[], ['qrpn'], ['sim'], ['qrpn', 'sim']]


@dataclass
class Picture:
    """A network input and what the query's person in it is."""

    image: Tensor
    meta: dict
    box: Tensor


def make(without=('gates',), **changes):
    """In eval mode; the threshold of its own config finds nothing."""
    return copy.deepcopy(made(tuple(without), tuple(changes.items())))


@functools.cache
def made(without, changes):
    changes = {'test_cfg.rpn.max_per_img': PROPOSALS, **dict(changes)}
    model = make_training(without, **changes).eval()
    model.roi_head.test_cfg.score_thr = 0.99
    torch.manual_seed(0)
    for name, parameter in model.named_parameters():
        for end, std in STRONG.items():
            if name.endswith(end):
                nn.init.normal_(parameter, std=std)
    centre(model)
    return model


@torch.no_grad()
def centre(model):
    """Shift classes so that an image's detections lie around 0.5."""
    (query, *_), (gallery, *_) = scenario(model)
    head = model.roi_head
    for _ in range(4):  # a probability of 0 does not say how far it is off
        found = run_afresh(model, query, gallery, threshold=0.0)
        if not len(found.scores):
            return
        head.bbox_head.fc_cls.bias[0] -= offset_of(found.scores)
        if head.sim_head is not None:
            head.sim_head.fc.bias[1] -= offset_of(found.similarity)


def offset_of(probabilities):
    """How far a logit lies from 0, as far as can be told."""
    return probabilities.median().double().clamp(1e-30, 1 - 1e-7).logit()


def pictures(model, images=IMAGES, first=0):
    found = []
    for number, (shape, scale) in enumerate(images):
        shown = scene([], shape=shape, scale=scale, seed=first + number)
        image, (sample,) = batch(model, shown, training=False)
        box = torch.tensor(BOXES[number % len(BOXES)])
        found.append(Picture(image, sample.metainfo, box))
    return found


def scenario(model):
    """Query pictures and gallery pictures, all different."""
    return pictures(model, IMAGES[::-1], first=10), pictures(model)


def query_state(searcher, picture):
    return searcher.query(picture.image, picture.meta, picture.box)


def gallery_state(searcher, picture):
    return searcher.gallery(picture.image, picture.meta)


def shuffled_pairs(queries, galleries, seed=0):
    pairs = [(q, g) for q in range(queries) for g in range(galleries)]
    random.Random(seed).shuffle(pairs)
    return pairs


def run(searcher, queries, galleries, pairs, batch_size):
    """All pairs on states that are made once, and kept."""
    queries = [query_state(searcher, picture) for picture in queries]
    galleries = [gallery_state(searcher, picture) for picture in galleries]
    results = []
    for start in range(0, len(pairs), batch_size):
        part = pairs[start : start + batch_size]
        results += searcher.search(
            [(queries[q], galleries[g]) for q, g in part]
        )
    return results


def run_afresh(model, query, gallery, threshold=THRESHOLD):
    """The obvious loop: nothing kept, one pair at a time."""
    searcher = PairSearcher(model, threshold)
    (result,) = searcher.search(
        [(query_state(searcher, query), gallery_state(searcher, gallery))]
    )
    return result


def maps_of(model, query, gallery):
    sizes = [p.meta['img_shape'][:2] for p in (query, gallery)]
    if model.backbone.gated:
        return model.backbone.forward_pairs(
            query.image,
            gallery.image,
            ([sizes[0]], [sizes[1]]),
            query.box[None],
        )
    return tuple(
        model.backbone.plain_features(p.image, [size])
        for p, size in zip((query, gallery), sizes, strict=True)
    )


def anchors_by_hand(model, query, gallery):
    """Which anchors of the gallery image are proposed for the query."""
    rpn = model.rpn_head
    query_map, gallery_map = maps_of(model, query, gallery)
    scores, boxes = rpn.anchors_of((gallery_map,), [gallery.meta])
    region = model.roi_head.bbox_roi_extractor(
        (query_map,), bbox2roi([query.box[None]])
    )
    logits = rpn.query_scores(gallery_map, region.mean(dim=(2, 3)))
    score = scores[0].sigmoid() + logits[0].sigmoid()
    return select_anchors(score, boxes[0], rpn.test_cfg).tolist()


@torch.no_grad()
def reference(model, query, gallery):
    """QEEPS of one pair as its paper writes it, on all proposals."""
    model = copy.deepcopy(model)
    model.roi_head.test_cfg.score_thr = THRESHOLD
    rpn, head = model.rpn_head, model.roi_head
    query_map, gallery_map = maps_of(model, query, gallery)
    region = head.bbox_roi_extractor((query_map,), bbox2roi([query.box[None]]))
    embedding = head.oim_head(head.shared_head(region).mean(dim=(2, 3)))
    sample = DetDataSample(metainfo=gallery.meta)
    scores, deltas = rpn((gallery_map,))
    if rpn.query_guided:
        proposals = rpn.propose(
            *rpn.decode(scores[0], deltas[0], [gallery.meta]),
            rpn.query_scores(gallery_map, region.mean(dim=(2, 3))),
            rpn.test_cfg,
        )
    else:
        proposals = rpn.predict_by_feat(
            scores, deltas, batch_img_metas=[gallery.meta], cfg=rpn.test_cfg
        )
    (found,) = head.predict((gallery_map,), proposals, [sample], rescale=True)
    if head.sim_head is None:
        similarity = (embedding * found.embeddings).sum(dim=1)
    else:
        difference = (embedding - found.embeddings).square()
        logits = head.sim_head.fc(head.sim_head.norm(difference))
        similarity = logits[:, 1].exp() / logits.exp().sum(dim=1)
    return found.bboxes, found.scores, similarity


def fields(result):
    return result.bboxes, result.scores, result.similarity


def assert_same(result, expected, roundings=512):
    """Equal up to so many roundings in float32 of a field's largest number.

    A corner of a box is the difference of numbers as large as the picture,
    so a small one has the error of a large one. Which batch a pair runs in
    changes the order of sums; with weights this strong that moves a score by
    up to a hundred roundings.
    """
    for value, other in zip(result, expected, strict=True):
        size = max([1.0, *other.abs().flatten().tolist()])
        atol = roundings * torch.finfo(torch.float32).eps * size
        torch.testing.assert_close(value, other, rtol=0, atol=atol)


# --- without gates: everything is computed once


@pytest.mark.parametrize('without', PARTS)
def test_shuffled_pairs_equal_the_loop_over_fresh_states(without):
    model = make(['gates', *without])
    queries, galleries = scenario(model)
    pairs = shuffled_pairs(len(queries), len(galleries))
    results = run(PairSearcher(model, THRESHOLD), queries, galleries, pairs, 5)
    found = set()
    for (q, g), result in zip(pairs, results, strict=True):
        afresh = fields(run_afresh(model, queries[q], galleries[g]))
        assert_same(fields(result), afresh)
        assert_same(fields(result), reference(model, queries[q], galleries[g]))
        found.add(len(result.scores))
        assert len(result.scores) > 0
        assert result.scores.min() >= THRESHOLD
    assert len(found) > 1


def test_queries_find_different_boxes_in_an_image():
    model = make()
    queries, galleries = scenario(model)
    proposed = [
        set(anchors_by_hand(model, query, galleries[0])) for query in queries
    ]
    assert all(len(anchors) == PROPOSALS for anchors in proposed)
    assert proposed[0] != proposed[1]


@pytest.mark.parametrize('batch_size', [1, 3, 16])
def test_each_anchor_of_an_image_goes_through_conv5_once(batch_size):
    model = make()
    queries, galleries = scenario(model)
    distinct = {
        (g, anchor)
        for query in queries
        for g, gallery in enumerate(galleries)
        for anchor in anchors_by_hand(model, query, gallery)
    }
    searcher = PairSearcher(model, THRESHOLD)
    pairs = shuffled_pairs(len(queries), len(galleries))
    run(searcher, queries, galleries, pairs, batch_size)
    assert searcher.num_rois == len(distinct)
    assert len(distinct) < PROPOSALS * len(pairs)


def test_a_pair_that_was_run_costs_no_roi():
    model = make()
    (query, *_), (gallery, *_) = scenario(model)
    searcher = PairSearcher(model, THRESHOLD)
    pair = (query_state(searcher, query), gallery_state(searcher, gallery))
    first, again = searcher.search([pair, pair])
    assert searcher.num_rois == PROPOSALS
    (later,) = searcher.search([pair])
    assert searcher.num_rois == PROPOSALS
    for result in (again, later):
        assert_same(fields(result), fields(first), roundings=0)


def test_queries_of_plain_proposals_share_all_rois():
    model = make(['gates', 'qrpn'])
    queries, galleries = scenario(model)
    searcher = PairSearcher(model, THRESHOLD)
    pairs = shuffled_pairs(len(queries), len(galleries))
    results = dict(
        zip(pairs, run(searcher, queries, galleries, pairs, 4), strict=True)
    )
    assert searcher.num_rois == PROPOSALS * len(galleries)
    for g in range(len(galleries)):
        first, second = results[0, g], results[1, g]
        assert torch.equal(first.bboxes, second.bboxes)
        assert not torch.equal(first.similarity, second.similarity)


# --- both kinds


@pytest.mark.parametrize('without', [['gates'], []])
def test_a_batch_of_one_equals_a_batch_of_sixteen(without):
    model = make(without)
    queries, galleries = scenario(model)
    pairs = shuffled_pairs(len(queries), len(galleries))
    one, many = (
        run(PairSearcher(model, THRESHOLD), queries, galleries, pairs, size)
        for size in (1, 16)
    )
    for first, second in zip(one, many, strict=True):
        assert_same(fields(first), fields(second))


@pytest.mark.parametrize('without', PARTS)
def test_gated_pairs_equal_both_streams_in_lock_step(without):
    model = make(without)
    queries, galleries = scenario(model)
    # pairs of equal sizes too, which run as one batch
    queries.append(pictures(model, IMAGES[3:], first=30)[0])
    galleries.append(pictures(model, IMAGES[:1], first=31)[0])
    pairs = shuffled_pairs(len(queries), len(galleries))[:16]
    results = run(
        PairSearcher(model, THRESHOLD), queries, galleries, pairs, 16
    )
    for (q, g), result in zip(pairs, results, strict=True):
        assert_same(fields(result), reference(model, queries[q], galleries[g]))
        assert len(result.scores)


def test_gates_let_the_query_change_what_is_found():
    model = make(['qrpn', 'sim'])
    queries, galleries = scenario(model)
    first, second = (
        run_afresh(model, query, galleries[0]) for query in queries[:2]
    )
    assert first.scores.tolist()[:3] != second.scores.tolist()[:3]


@pytest.mark.parametrize('without', [['gates'], []])
@pytest.mark.parametrize('setting', ['no detection', 'no proposal'])
def test_an_image_without_a_detection_gives_an_empty_result(without, setting):
    changes = {'test_cfg.rpn.min_bbox_size': 1000}
    model = make(without, **(changes if setting == 'no proposal' else {}))
    queries, galleries = scenario(model)
    threshold = 0.4 if setting == 'no proposal' else 0.999
    searcher = PairSearcher(model, threshold)
    pairs = shuffled_pairs(2, 4)
    for result in run(searcher, queries, galleries, pairs, 3):
        assert result.bboxes.shape == (0, 4)
        assert result.scores.shape == result.similarity.shape == (0,)


@pytest.mark.parametrize('without', [['gates'], []])
def test_an_empty_batch_gives_no_result(without):
    assert PairSearcher(make(without)).search([]) == []


@pytest.mark.parametrize('without', [['gates'], []])
def test_boxes_are_in_original_pixels(without):
    model = make(without)
    (query, *_), (gallery, *_) = scenario(model)
    in_input = run_afresh(model, query, gallery)
    gallery.meta = {**gallery.meta, 'scale_factor': (2.0, 0.5)}
    original = run_afresh(model, query, gallery)
    factor = torch.tensor([0.5, 2.0, 0.5, 2.0])
    assert_same(
        fields(original),
        (in_input.bboxes * factor, in_input.scores, in_input.similarity),
    )
    assert original.bboxes[:, 3].max() > gallery.meta['img_shape'][0]


def test_the_threshold_is_that_of_the_searcher():
    model = make()
    (query, *_), (gallery, *_) = scenario(model)
    counts = []
    for threshold in (0.0, 0.5, 0.7):
        searcher = PairSearcher(model, threshold)
        pair = (query_state(searcher, query), gallery_state(searcher, gallery))
        (result,) = searcher.search([pair])
        assert (result.scores >= threshold).all()
        counts.append(len(result.scores))
    assert counts[0] > counts[1] > counts[2]


def test_embeddings_of_refined_boxes_are_refused():
    model = make()
    model.roi_head.test_cfg.reid_on = 'refined'
    with pytest.raises(ValueError, match=r'test_cfg\.rcnn\.reid_on='):
        PairSearcher(model)


def test_the_network_gives_a_searcher_with_its_bounds():
    model = make()
    searcher = model.pair_searcher(0.3, 2)
    assert searcher.model is model
    assert searcher.score_thr == 0.3
    assert searcher.cache.limit == 2 * MEGABYTE


# --- the cache


def state(megabytes):
    scores = torch.zeros(int(megabytes * MEGABYTE), dtype=torch.uint8)
    return GalleryState({}, scores=scores)


def keys(cache, names='abcd'):
    """Which are there; without touching their order."""
    return [name for name in names if name in cache._states]


def test_the_least_recently_used_state_is_dropped_first():
    cache = BoundedCache(2)
    for name in 'abc':
        cache.put(name, state(1))
    kept = cache.get('a')
    cache.shrink()
    assert keys(cache) == ['a', 'c']
    assert cache.get('a') is kept
    assert cache.get('b') is None
    cache.put('c', state(1))  # put again is used again
    cache.put('d', state(1))
    cache.shrink()
    assert keys(cache) == ['c', 'd']


def test_states_grow_while_in_use_and_the_bound_holds_after_shrinking():
    cache = BoundedCache(3)
    states = {name: state(0.5) for name in 'abcd'}
    for name, kept in states.items():
        cache.put(name, kept)
    cache.shrink()
    assert keys(cache) == list('abcd')
    assert cache.peak == 2 * MEGABYTE
    states['c'].roi_outputs = [torch.zeros(MEGABYTE // 2, dtype=torch.float32)]
    assert cache.nbytes == 4 * MEGABYTE
    cache.shrink()
    assert keys(cache) == ['c', 'd']
    assert cache.nbytes <= cache.limit
    assert cache.peak == cache.nbytes


def test_exactly_the_bound_is_kept():
    cache = BoundedCache(2)
    cache.put('a', state(1))
    cache.put('b', state(1))
    cache.shrink()
    assert keys(cache) == ['a', 'b']


def test_one_state_is_kept_whatever_its_size():
    cache = BoundedCache(0)
    cache.shrink()
    cache.put('a', state(1))
    cache.put('b', state(2))
    cache.shrink()
    assert keys(cache) == ['b']
    cache.shrink()
    assert keys(cache) == ['b']


def test_all_tensors_of_a_state_count():
    outputs = [torch.zeros(5, 2), torch.zeros(5, 4), torch.zeros(5, 8)]
    plain = GalleryState(
        {},
        feats=torch.zeros(1, 2, 3, 4),
        scores=torch.zeros(6),
        boxes=torch.zeros(6, 4),
        row=torch.zeros(6, dtype=torch.long),
        roi_outputs=outputs,
    )
    assert plain.nbytes == 4 * (24 + 6 + 24 + 5 * 14) + 8 * 6
    stream = Stream(
        torch.zeros(1, 2, 4, 4),
        torch.zeros(1, 3, 4, 4),
        Mask([(8, 8)], (8, 8)),
    )
    assert GalleryState({}, stream=stream).nbytes == 4 * 16 * 5


@pytest.mark.parametrize('without', [['gates'], []])
def test_the_state_of_an_image_grows_by_what_the_head_has_said(without):
    model = make(without)
    (query, *_), (gallery, *_) = scenario(model)
    searcher = PairSearcher(model, THRESHOLD)
    kept = gallery_state(searcher, gallery)
    before = kept.nbytes
    searcher.search([(query_state(searcher, query), kept)])
    numbers = 2 + 4 + 8  # logits, deltas, embedding
    grown = PROPOSALS * numbers * 4 if without else 0
    assert kept.nbytes - before == grown


@pytest.mark.parametrize('without', [('gates',), ()])
def test_proposals_without_and_with_the_query(without):
    model = make(without)
    searcher = PairSearcher(model)
    (query, *_), (_, gallery, *_) = scenario(model)
    alone, guided = searcher.proposals(
        query_state(searcher, query), gallery_state(searcher, gallery)
    )
    feats = maps_of(model, query, gallery)
    scores, boxes = model.rpn_head.anchors_of((feats[1],), [gallery.meta])
    cfg = model.rpn_head.test_cfg
    kept = select_anchors(scores[0], boxes[0], cfg)
    factor = torch.tensor(gallery.meta['scale_factor']).repeat(2)
    torch.testing.assert_close(alone, boxes[0][kept] / factor)
    assert guided.shape[1] == 4
    assert not torch.equal(alone, guided)

    model.rpn_head.merged = lambda score, query: score
    _, unguided = searcher.proposals(
        query_state(searcher, query), gallery_state(searcher, gallery)
    )
    torch.testing.assert_close(alone, unguided)


def test_cosine_may_take_the_place_of_qsim():
    model = make()
    (query, *_), (gallery, *_) = scenario(model)
    learnt = run_afresh(model, query, gallery)
    model.roi_head.test_cfg.similarity = 'cosine'
    cosine = run_afresh(model, query, gallery)
    model.roi_head.sim_head = None
    without = run_afresh(model, query, gallery)
    assert torch.equal(cosine.bboxes, learnt.bboxes)
    assert torch.equal(cosine.similarity, without.similarity)
    assert not torch.equal(cosine.similarity, learnt.similarity)


def test_another_similarity_is_refused():
    with pytest.raises(ValueError, match="similarity must be 'qsim' or 'cos"):
        make_training((), **{'test_cfg.rcnn.similarity': 'euclid'})


# --- pairs image after image


class PackedPictures:
    """Packed items of pictures; notes what is read."""

    def __init__(self, queries, galleries):
        self.all = dict(query=queries, image=galleries)
        self.read = []

    def packed(self, kind, number):
        self.read.append((kind, number))
        picture = self.all[kind][number]
        sample = DetDataSample(metainfo=picture.meta)
        return dict(inputs=picture.image[0], data_samples=sample)

    def images(self, numbers):
        return (self.packed('image', number) for number in numbers)

    def queries(self, numbers):
        for number in numbers:
            picture = self.all['query'][number]
            factor = torch.tensor(picture.meta['scale_factor']).repeat(2)
            yield self.packed('query', number), picture.box / factor


class Unnormalised:
    """In place of a data preprocessor: the pictures are network inputs."""

    def __call__(self, data, training):
        return dict(data, inputs=torch.stack(data['inputs']))


def ready(without):
    model = make(without)
    queries, galleries = scenario(model)
    model.data_preprocessor = None  # a module cannot be replaced otherwise
    object.__setattr__(model, 'data_preprocessor', Unnormalised())
    return model, PackedPictures(queries, galleries)


PAIRS = [(q, image) for image in range(4) for q in range(4) if q != image]


@pytest.mark.parametrize('without', [['gates'], []])
def test_pairs_by_image_read_each_picture_once(without):
    model, pictures = ready(without)
    counts = []
    results = PairSearcher(model, THRESHOLD).run(
        *zip(*PAIRS, strict=True), pictures, 5, counts.append
    )
    assert counts == [5, 5, 2]
    assert sorted(pictures.read) == [
        *(('image', i) for i in range(4)),
        *(('query', q) for q in range(4)),
    ]
    for (q, image), result in zip(PAIRS, results, strict=True):
        afresh = run_afresh(
            model, pictures.all['query'][q], pictures.all['image'][image]
        )
        assert_same(fields(result), fields(afresh))


@pytest.mark.parametrize('without', [['gates'], []])
def test_what_was_run_before_and_memory_change_no_bit(without):
    model, pictures = ready(without)
    part = [pair for pair in PAIRS if pair[1] > 1]
    searcher = PairSearcher(model, THRESHOLD)
    searcher.run(*zip(*PAIRS, strict=True), pictures, 5)
    assert searcher.peak > 0
    later = searcher.run(*zip(*part, strict=True), pictures, 4)
    for megabytes in (1024, 0):
        first = PairSearcher(model, THRESHOLD, megabytes).run(
            *zip(*part, strict=True), pictures, 4
        )
        for one, other in zip(first, later, strict=True):
            assert_same(fields(one), fields(other), roundings=0)
