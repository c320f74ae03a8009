"""The index finds what a full sort finds, and is refused when it is bad."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmps.evaluation.features import Boxes
from mmps.evaluation.search import on_grid
from mmps.inference import GalleryIndex, Match, Source, Where


def unit(vectors):
    vectors = np.asarray(vectors, np.float64)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(
        np.float32
    )


def index_of(embeddings, counts=None, sources=None, network='net'):
    num = len(embeddings)
    counts = [num] if counts is None else counts
    rng = np.random.default_rng(num)
    corner = rng.uniform(0, 50, (num, 2))
    boxes = Boxes(
        np.hstack([corner, corner + 10]).astype(np.float32),
        rng.uniform(0.5, 1, num).astype(np.float32),
        embeddings,
        np.cumsum([0, *counts]),
    )
    if sources is None:
        sources = [Source(f'{i}.jpg') for i in range(len(counts))]
    return GalleryIndex(sources, boxes, network, 0.5)


def drawn(seed, num=300, dims=16, distinct=40):
    """Rows of which many are equal, and some differ in the last bit."""
    rng = np.random.default_rng(seed)
    some = unit(rng.normal(size=(distinct, dims)))
    rows = some[rng.integers(distinct, size=num)]
    near = rng.random(num) < 0.3
    rows[near] = np.nextafter(rows[near], np.float32(1))
    return rows, unit(rng.normal(size=(1, dims)))[0]


def slow_ranking(embeddings, query, top):
    """One exact product after the other, then Python's stable sort."""
    rows, query = on_grid(embeddings), on_grid(query)
    values = [sum(a * b for a, b in zip(r, query, strict=True)) for r in rows]
    order = sorted(range(len(rows)), key=lambda i: -values[i])
    return order[:top], [values[i] for i in order[:top]]


@given(
    seed=st.integers(0, 1000),
    top=st.sampled_from([1, 2, 7, 50, 299, 300, 1000, None]),
)
def test_order_is_that_of_a_full_sort(seed, top):
    embeddings, query = drawn(seed)
    rows, values = index_of(embeddings).ranked(query, top)
    expected = slow_ranking(embeddings, query, top)
    assert rows.tolist() == expected[0]
    assert values.tolist() == expected[1]


def test_a_row_whose_float32_product_is_too_small_is_not_lost():
    # many products next to each other, so that rounding decides their order
    rng = np.random.default_rng(0)
    base = rng.normal(size=256)
    rows = unit(base + 1e-7 * rng.normal(size=(5000, 256)))
    query = unit(base[None])[0]
    torn = np.argsort(-(rows @ query), kind='stable')[:20]
    exact = np.argsort(-(on_grid(rows) @ on_grid(query)), kind='stable')[:20]
    assert torn.tolist() != exact.tolist()
    found, _ = index_of(rows).ranked(query, 20)
    assert found.tolist() == exact.tolist()


def test_blocks_change_nothing(monkeypatch):
    embeddings, query = drawn(1)
    whole = index_of(embeddings).ranked(query)
    monkeypatch.setattr('mmps.inference.gallery_index.BLOCK', 7)
    parts = index_of(embeddings).ranked(query)
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)


def test_matches_say_where_they_are():
    sources = [Source('a.jpg'), Source('b.avi', 25, 1.0), Source()]
    embeddings = unit([[1, 0], [0, 1], [3, 4], [-1, 0]])
    index = index_of(embeddings, [1, 2, 1], sources)
    boxes = [tuple(box) for box in index.boxes.bboxes.tolist()]
    scores = index.boxes.scores.tolist()
    assert index.search(np.array([0, 1.0]), top=3) == [
        Match(sources[1], 1, boxes[1], 1.0, scores[1]),
        Match(sources[1], 1, boxes[2], pytest.approx(0.8), scores[2]),
        Match(sources[0], 0, boxes[0], 0.0, scores[0]),
    ]
    assert index.search(np.array([-1, 0.0]), top=1)[0].source == Source()


def test_nobody_is_found_among_nobody():
    empty = index_of(np.zeros((0, 4), np.float32), [0, 0])
    assert empty.search(np.array([0, 0, 1, 0.0]), top=5) == []
    assert len(empty) == 0


@pytest.mark.parametrize(
    ('query', 'top', 'message'),
    [
        ([1, 0], 1, r'shape \(2,\), the gallery needs \(3,\)'),
        ([[1, 0, 0]], 1, r'shape \(1, 3\)'),
        ([2, 0, 0], 1, 'length 2, expected 1'),
        ([np.nan, 0, 0], 1, 'length nan'),
        ([1, 0, 0], 0, 'top must be >= 1 or None, got 0'),
    ],
)
def test_a_query_that_does_not_fit_is_refused(query, top, message):
    index = index_of(unit(np.eye(3)))
    with pytest.raises(ValueError, match=message):
        index.search(np.array(query, float), top)


def test_another_maker_is_refused():
    index = index_of(unit(np.eye(3)), network='abc')
    index.check_maker('abc', 0.5)
    with pytest.raises(ValueError, match=r'by network abc, this is abd'):
        index.check_maker('abd', 0.5)
    with pytest.raises(ValueError, match=r'score of 0\.5 and more.* 0\.3'):
        index.check_maker('abc', 0.3)


def test_comes_back_as_it_was(tmp_path):
    sources = [
        Source('ä b.jpg', camera='gate', time=1.7e9),
        Source('b.avi', 25, 1.04),
        Source(),
    ]
    index = index_of(drawn(0)[0][:6], [1, 0, 5], sources)
    path = tmp_path / 'new' / 'index.npz'
    index.save(path)
    again = GalleryIndex.load(path)
    assert again.sources == sources
    assert (again.network, again.det_thr) == ('net', 0.5)
    for part in ('bboxes', 'scores', 'embeddings', 'offsets'):
        one, other = getattr(again.boxes, part), getattr(index.boxes, part)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    assert [p.name for p in path.parent.iterdir()] == ['index.npz']


def test_an_index_of_an_older_version_has_no_cameras(tmp_path):
    path = tmp_path / 'index.npz'
    sources = [Source('a.jpg', camera='gate', time=1.0)]
    index_of(unit(np.eye(3)), sources=sources).save(path)
    rewritten(path, cameras=None, times=None)
    again = GalleryIndex.load(path)
    assert again.sources == [Source('a.jpg')]
    with pytest.raises(ValueError, match=r'have no camera.*build the index'):
        again.search(np.eye(3)[0], where=Where(cameras=['gate']))
    with pytest.raises(ValueError, match='have no time'):
        again.search(np.eye(3)[0], where=Where(before=5))


@given(seed=st.integers(0, 300), top=st.sampled_from([1, 7, 100, None]))
def test_conditions_leave_the_order_of_the_others(seed, top):
    embeddings, query = drawn(seed)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(len(embeddings), np.full(40, 1 / 40))
    sources = [
        Source(
            f'{"ab"[i % 2]}/{i}.jpg',
            camera=(None, 'gate', 'door', 'hall')[rng.integers(4)],
            time=None if rng.random() < 0.1 else float(rng.integers(100)),
        )
        for i in range(40)
    ]
    index = index_of(embeddings, counts, sources)
    where = Where(
        cameras=[None, ('gate',), ('gate', 'hall')][seed % 3],
        after=[None, 30][seed // 3 % 2],
        before=[None, 70, 31][seed // 2 % 3],
        min_score=[None, 0.75][seed // 5 % 2],
        images=[None, 'a/'][seed // 7 % 2],
    )

    def allowed(match):
        source = match.source
        return (
            (where.cameras is None or source.camera in where.cameras)
            and (where.after is None or (source.time or -1) >= where.after)
            and (
                where.before is None
                or (source.time is not None and source.time < where.before)
            )
            and (where.min_score is None or match.score >= where.min_score)
            and (where.images is None or source.image.startswith('a/'))
        )

    expected = [m for m in index.search(query, None) if allowed(m)][:top]
    assert index.search(query, top, where) == expected


def rewritten(path, **changes):
    with np.load(path) as file:
        arrays = dict(file)
    arrays.update(changes)
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'embeddings': np.full((3, 3), np.nan, np.float32)}, 'not finite'),
        ({'embeddings': np.eye(3)}, 'must be float32, got float64'),
        ({'embeddings': np.eye(3, dtype=np.float32) * 2}, 'has length 2'),
        ({'embeddings': np.eye(3, dtype=np.float32)[:2]}, 'for 3 boxes'),
        ({'embeddings': None}, 'embeddings'),
        ({'bboxes': np.full((3, 4), np.inf)}, 'coordinates are not finite'),
        ({'scores': np.zeros(2)}, 'do not fit'),
        ({'offsets': np.array([0, 2])}, 'do not cut 3 boxes'),
        ({'frames': np.zeros(2, np.int64)}, 'shorter|longer'),
        ({'images': np.array([{}], object)}, 'Python objects'),
        ({'meta': np.array('{"format": "mmps features"}')}, 'format is not'),
        (
            {
                'meta': np.array(
                    json.dumps({'format': 'mmps gallery index', 'version': 2})
                )
            },
            'version 2, this program reads 1',
        ),
    ],
)
def test_files_that_hold_nonsense_are_refused(changes, message, tmp_path):
    path = tmp_path / 'index.npz'
    index_of(unit(np.eye(3))).save(path)
    rewritten(path, **changes)
    pattern = rf'(?s)index\.npz: not a readable gallery index.*({message})'
    with pytest.raises(ValueError, match=pattern):
        GalleryIndex.load(path)


def test_a_file_that_is_cut_or_missing_is_refused(tmp_path):
    path = tmp_path / 'index.npz'
    with pytest.raises(FileNotFoundError, match=r'GalleryIndex\.save'):
        GalleryIndex.load(path)
    index_of(unit(np.eye(3))).save(path)
    content = path.read_bytes()
    for size in range(0, len(content), 97):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match='not a readable'):
            GalleryIndex.load(path)


def test_embeddings_are_needed():
    index = index_of(unit(np.eye(3)))
    with pytest.raises(ValueError, match='must be float32, got None'):
        replace(index, boxes=replace(index.boxes, embeddings=None))
