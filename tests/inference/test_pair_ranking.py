"""A query-guided search is that of the test loop, nothing runs twice."""

import numpy as np
import pytest

from mmps.inference import Match, Source
from mmps.inference.pair_ranking import PairRanker, key_of
from mmps.inference.scenes import as_scene
from mmps.models.pair_search import PairSearcher
from tests.evaluation.pair_runs import findings_in, make_loop
from tests.inference.rankings import assert_same_matches

BOX = (30, 20, 90, 160)


@pytest.fixture
def prepared(monkeypatch):
    """How many gallery pictures went through the network: [number]."""
    count = [0]
    gallery = PairSearcher.gallery

    def counted(self, *args):
        count[0] += 1
        return gallery(self, *args)

    monkeypatch.setattr(PairSearcher, 'gallery', counted)
    return count


def test_a_search_finds_what_the_test_loop_finds(
    guided, qeeps, data, tmp_path
):
    loop = make_loop(qeeps.runner, tmp_path, num_queries=2)
    loop.run()
    meta = loop.dataloader.dataset.metainfo
    paths = [data / 'Image/SSM' / name for name in meta['image_names']]
    for number, expected in findings_in(loop).items():
        query = meta['queries'][number]
        found = guided.search(
            paths[query.image],
            query.bbox,
            [paths[image] for image in expected.images],
            top=None,
            batch_size=5,
        )
        images = np.repeat(np.arange(len(expected.images)), expected.counts)
        whole = [
            Match(Source(), int(image), tuple(box), similarity, score)
            for image, box, similarity, score in zip(
                *(images, expected.bboxes, expected.similarity),
                *(expected.scores,),
                strict=True,
            )
        ]
        assert len(whole) > 20
        whole.sort(key=lambda match: -match.similarity)
        assert_same_matches(found, whole)


def test_the_next_query_uses_what_is_kept(guided, files, prepared):
    guided._ranker.searcher.cache._states.clear()
    first = guided.search(files[0], BOX, files[:4])
    assert prepared == [4]
    guided.search(files[1], BOX, files[:4])
    assert prepared == [4]
    guided.search(files[1], BOX, [files[3], files[4]])
    assert prepared == [5]
    assert guided.search(files[0], BOX, files[:4]) == first


def test_a_picture_that_changes_is_not_known_again(tmp_path, grey):
    path = tmp_path / 'a.bin'
    path.write_bytes(b'1')
    before = key_of(as_scene(path))
    assert key_of(as_scene(path)) == before
    path.write_bytes(b'22')
    assert key_of(as_scene(path)) != before
    key = key_of(as_scene(grey))
    assert key_of(as_scene(grey.copy())) == key
    other = grey.copy()
    other[5, 5, 1] += 1
    assert key_of(as_scene(other)) != key
    assert key_of(as_scene(grey.reshape(160, 120, 3))) != key


def test_what_is_known_of_pictures_is_bounded(guided, grey):
    ranker = PairRanker(guided.network, 0.05, cache_mb=0)
    query = guided.network.prepare(as_scene(grey), [20, 20, 80, 100])
    for number in range(3):
        grey[0, 0] = number
        gallery = [(0, as_scene(grey.copy()))]
        ranker.search(query, gallery, top=None, batch_size=2)
        assert len(ranker.searcher.cache._states) == 1
    assert not any(
        isinstance(value, dict | list) for value in vars(ranker).values()
    )


def test_a_picture_that_is_listed_twice_counts_twice(guided, files):
    once = guided.search(files[0], BOX, files[:2], top=None)
    twice = guided.search(files[0], BOX, [*files[:2], files[0]], top=None)
    of_first = [m for m in once if m.position == 0]
    again = [m._replace(position=0) for m in twice if m.position == 2]
    assert again == of_first != []
    assert [m for m in twice if m.position < 2] == once


def test_pairs_need_pictures_or_a_rerank(guided, files):
    index = guided.index(files)
    with pytest.raises(ValueError, match=r'depends on the pair.* rerank=k'):
        guided.search(files[0], BOX, index)


@pytest.mark.parametrize('k', [1, 3, 100])
def test_a_rerank_runs_pairs_on_the_best_images(guided, files, k):
    index = guided.index(files)
    embedding = guided.network.embed(
        guided.network.prepare(as_scene(files[2]), BOX)
    )
    best = {}  # image -> its best cosine, by a loop
    for row, image in enumerate(index.boxes.image.tolist()):
        cosine = float(index.boxes.embeddings[row] @ embedding)
        best[image] = max(best.get(image, -2), cosine)
    chosen = sorted(best, key=best.get)[-k:]
    expected = [
        match
        for match in guided.search(files[2], BOX, files, top=None)
        if match.position in chosen
    ]
    for gallery in (index, files):
        found = guided.search(files[2], BOX, gallery, top=None, rerank=k)
        assert_same_matches(found, expected)


def test_a_rerank_reads_the_frames_of_a_video_again(guided, files, video):
    index = guided.index(video, every=2)
    found = guided.search(files[2], BOX, index, top=None, rerank=2)
    whole = guided.search(files[2], BOX, video, every=2, top=None)
    positions = {match.position for match in found}
    assert len(positions) == 2
    assert_same_matches(found, [m for m in whole if m.position in positions])
    assert {m.source.frame for m in found} == {
        2 * place for place in positions
    }


def test_pixels_cannot_be_reranked(guided, grey, files):
    index = guided.index(files[:1])
    unnamed = type(index)(
        [source._replace(image=None) for source in index.sources],
        index.boxes,
        index.network,
        index.det_thr,
    )
    with pytest.raises(ValueError, match='cannot be read again'):
        guided.search(files[0], BOX, unnamed, rerank=1)
