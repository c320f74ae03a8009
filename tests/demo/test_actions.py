import re
import threading
from datetime import datetime

import cv2
import numpy as np
import pytest

from mmps.demo import actions as said
from mmps.demo.actions import DRAWN, FOLDER, UPLOADS
from mmps.demo.drawing import LONGEST, shown_scale
from mmps.demo.searcher import Found

HOW = dict(top=4, least=-1, every=1, blur=False)
NONE = (None,) * 4


@pytest.fixture
def first(actions):
    """The first example, picked."""
    return actions.example(0, True)


def search(actions, query, numbers=NONE, where=DRAWN, **changes):
    files = {key: changes.pop(key, None) for key in ('folder', 'uploads')}
    return actions.search(
        *(query, numbers, where, files['folder'], files['uploads']),
        **dict(HOW, **changes),
    )


def test_an_example_comes_with_its_box(actions, first, examples):
    chosen = examples.queries[0]
    assert (first.x1, first.y1, first.x2, first.y2) == chosen.box
    assert first.query.box == chosen.box
    assert first.picture.shape == (LONGEST * 3 // 4, LONGEST, 3)
    assert (first.message, first.is_bad) == (said.PICKED, False)


def test_a_click_counts_in_pixels_as_shown(actions, first):
    scale = shown_scale(first.query.picture)
    assert scale == 3
    x1, y1, x2, y2 = first.query.people[0]
    middle = (x1 + x2) / 2 * scale, (y1 + y2) / 2 * scale
    view = actions.click(first.query, *middle, True)
    assert view.query.box == first.query.clicked(*(v / 3 for v in middle)).box
    assert view[2:6] == view.query.box
    corner = actions.click(first.query, 30, 60, False)
    assert corner.query.corner == (10, 20)
    assert (corner.x1, corner.message) == (None, said.CORNER)
    box = actions.click(corner.query, 150, 210, False)
    assert box.query.box == (10, 20, 50, 70)


def test_one_s_own_picture_has_nobody_picked(actions, first, examples):
    view = actions.upload(first.query, examples.gallery[0], True)
    assert view.query.box is None
    assert (view.x1, view.message) == (None, said.HOW)
    assert (view.query.picture == cv2.imread(examples.gallery[0])).all()


def test_a_picture_without_people_asks_for_a_box(actions, tmp_path):
    actions.searcher.inferencer.det_thr, old = 1.0, 0.05
    try:
        cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((50, 60, 3), np.uint8))
        view = actions.upload(None, str(tmp_path / 'a.png'), True)
        assert (view.message, view.is_bad) == (said.NOBODY, False)
        found = search(actions, view.query, (1, 2, 30, 40))
        assert 'Nobody was found in 8 pictures' in found.message
        assert not found.is_bad
        assert found.people == found.scenes == []
    finally:
        actions.searcher.inferencer.det_thr = old


def test_what_is_wrong_changes_nothing(actions, first, tmp_path):
    wrong = tmp_path / 'wrong.jpg'
    wrong.write_text('no image')
    for view, message in (
        (actions.upload(first.query, str(wrong), True), 'is no image'),
        (actions.numbers(first.query, (900, 900, 990, 990), True), 'inside'),
        (actions.numbers(first.query, (1, 2, None, 4), True), 'four numbers'),
    ):
        assert view.is_bad
        assert message in view.message
        assert view.query is first.query
        assert (view.picture == first.picture).all()
        assert view[2:6] == first[2:6]


@pytest.mark.parametrize('name', ['click', 'numbers', 'offer'])
def test_without_a_picture_there_is_nothing_to_do(actions, name):
    rest = {'click': (5, 5), 'numbers': ((1, 2, 30, 40),), 'offer': ()}[name]
    view = getattr(actions, name)(None, *rest, True)
    assert (view.query, view.picture) == (None, None)
    assert view.is_bad == (name == 'click')


def test_the_box_is_what_the_page_shows(actions, first):
    exact = (10.4, 20.4, 60.4, 90.4)
    query = first.query.with_box(exact)
    same = actions.numbers(query, (10, 20, 60, 90), True)
    assert same.query is query  # shown as whole numbers
    other = actions.numbers(query, (11, 20, 60, 90), True)
    assert other.query.box == (11, 20, 60, 90)
    by_hand = search(actions, other.query)
    assert (
        search(actions, query, (11, 20, 60, 90)).people[0][1]
        == (by_hand.people[0][1])
    )


def test_results_are_those_of_the_inferencer(
    actions, first, inferencer, examples
):
    found = search(actions, first.query)
    matches = inferencer.search(*examples.queries[0], examples.gallery, top=4)
    assert len(found.people) == len(found.scenes) == 4
    for rank, match in enumerate(matches, 1):
        lines = [
            f'{rank}.  similarity {match.similarity:.2f}',
            f'detection {match.score:.2f}',
            match.source.image.rsplit('/')[-1],
        ]
        assert found.people[rank - 1][1] == '\n'.join(lines)
        assert found.scenes[rank - 1][1] == ' · '.join(lines)
        assert found.scenes[rank - 1][0].shape == (720, 960, 3)
        height, width = found.people[rank - 1][0].shape[:2]
        assert height > 1.9 * width  # upright, as a person is
    people = len(inferencer.index(examples.gallery))
    assert f'{people} people in 8 pictures' in found.message


def test_an_appearance_in_a_video_is_one_match(actions, first, clip):
    found = search(actions, first.query, where=UPLOADS, uploads=[clip])
    ((_, words),) = found.people
    assert words.startswith('1.  similarity ')
    assert words.endswith('clip.avi\n0:00.0 - 0:00.4\n5 frames')
    assert len(found.scenes) == 1


def test_pairs_are_mentioned(actions, first, monkeypatch):
    inferencer = actions.searcher.inferencer
    monkeypatch.setattr(type(inferencer), 'query_guided', True)
    monkeypatch.setattr(inferencer, 'search', lambda *_, **__: [])
    found = search(actions, first.query)
    assert ', the 20 best pictures again together with' in found.message


def test_options_are_passed_on(actions, first):
    plain = search(actions, first.query)
    blurred = search(actions, first.query, blur=True)
    for one, other in zip(plain.scenes, blurred.scenes, strict=True):
        assert one[1] == other[1]
        assert (one[0] != other[0]).any()
    assert len(search(actions, first.query, top=2).people) == 2
    none = search(actions, first.query, least=1.5)
    assert none.people == []
    assert 'Nobody is at least 1.50 similar' in none.message


def test_a_folder_and_uploads_are_galleries(
    actions, first, examples, tmp_path
):
    image = str(tmp_path / 'a b.png')
    cv2.imwrite(image, cv2.imread(examples.gallery[0]))
    for where, given in (
        (FOLDER, dict(folder=str(tmp_path))),
        (UPLOADS, dict(uploads=[image])),
    ):
        found = search(actions, first.query, where=where, **given)
        assert 'in 1 pictures' in found.message
        assert found.people[0][1].endswith('a b.png')


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(where=FOLDER), 'type the path'),
        (dict(where=UPLOADS), 'gallery is empty'),
        (dict(where='moon'), "got 'moon'"),
        (dict(top=None), 'matches must be a whole number'),
        (dict(every=0), 'every must be a whole number'),
        (dict(top=2.5), 'got 2.5'),
        (dict(numbers=(900, 0, 950, 9)), 'inside the picture'),
    ],
)
def test_a_bad_search_is_a_message(actions, first, changes, message):
    found = search(actions, first.query, **changes)
    assert found.is_bad
    assert message in found.message
    assert found.people == found.scenes == []


def test_uploads_are_called_as_their_owner_does(actions, first, tmp_path):
    wrong = tmp_path / 'wrong.png'
    wrong.write_text('no image')
    found = search(actions, first.query, where=UPLOADS, uploads=[str(wrong)])
    assert found.is_bad
    assert 'wrong.png' in found.message
    assert str(tmp_path) not in found.message


def test_what_is_left_out_is_named(actions, first, examples, tmp_path):
    wrong = tmp_path / 'wrong.png'
    wrong.write_text('no image')
    uploads = [examples.gallery[0], str(wrong)]
    found = search(actions, first.query, where=UPLOADS, uploads=uploads)
    assert not found.is_bad
    assert 'in 1 pictures' in found.message
    assert '1 file cannot be read and was left out: wrong.png.' in (
        found.message
    )
    assert str(tmp_path) not in found.message


def test_two_users_at_once_find_their_own(actions, examples):
    views = [actions.example(number, True) for number in (0, 1)]
    alone = [search(actions, view.query) for view in views]
    together = [None] * 8

    def run(number):
        together[number] = search(actions, views[number % 2].query)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, found in enumerate(together):
        expected = [caption for _, caption in alone[number % 2].people]
        assert [caption for _, caption in found.people] == expected


def test_conditions_choose_people_of_an_archive(actions, first, archive):
    def found(**typed):
        return search(
            *(actions, first.query, first[2:6], FOLDER),
            **dict(folder=str(archive.folder), top=200, **typed),
        )

    def lines(shown):
        return [caption for _, caption in shown.scenes]

    every = found()
    assert not every.is_bad
    assert f'An archive of {len(lines(every))} people' in every.message
    both = found(cameras=' gate,hall ,')
    assert lines(both) == lines(every)
    hall = lines(found(cameras='hall'))
    assert 0 < len(hall) < len(lines(every))
    assert all(' · hall · 2023-11-1' in line for line in hall)
    limit = str(datetime.fromtimestamp(archive.begin + 7200))
    assert lines(found(after=limit)) == hall  # the later half
    early = lines(found(before=limit, min_score=0))
    assert len(early) + len(hall) == len(lines(every))
    sure = found(min_score=1)
    assert 'Nobody that was asked for is at least' in sure.message
    for typed, message in (
        ({'after': 'yesterday'}, "time 'yesterday'"),
        ({'after': '1h', 'before': '2h'}, 'nothing is as young as'),
    ):
        wrong = found(**typed)
        assert wrong.is_bad
        assert message in wrong.message


def test_other_galleries_have_no_cameras(actions, first, examples):
    for typed in ({'cameras': 'gate'}, {'after': '1d'}, {'before': '1d'}):
        wrong = search(actions, first.query, first[2:6], **typed)
        assert wrong.is_bad
        assert 'are those of an archive' in wrong.message
    sure = search(actions, first.query, first[2:6], min_score=0.5)
    assert not sure.is_bad
    scores = [
        float(re.search(r'detection (\d\.\d+)', caption)[1])
        for _, caption in sure.scenes
    ]
    assert all(score >= 0.495 for score in scores)


def test_an_approximate_search_says_so(actions, monkeypatch):
    found = Found([], [], None, 1000, (), 0.04)
    monkeypatch.setattr(actions.searcher, 'search', lambda *a, **k: found)
    text = search(actions, None).message
    assert 'by its index, which may miss 4 % of the best matches' in text
