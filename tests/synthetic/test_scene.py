from dataclasses import replace

import numpy as np
import pytest

from mmps.synthetic.knobs import SCENES, Knobs
from mmps.synthetic.look import look_of_identity, look_of_stranger, statue
from mmps.synthetic.person import Pose, draw_person, random_pose
from mmps.synthetic.props import paste
from mmps.synthetic.scene import draw_scene

KNOBS = Knobs()


def look(identity=0):
    return look_of_identity(0, identity, KNOBS)


def scene(seed, people=4, size=(320, 240), knobs=KNOBS, place=None):
    rng = np.random.default_rng(seed)
    looks = [look(k) for k in range(people)]
    return draw_scene(rng, looks, *size, knobs, place)


def test_a_look_is_fixed_for_an_identity_and_a_seed():
    assert look(5) == look_of_identity(0, 5, KNOBS)
    assert look(5) != look_of_identity(1, 5, KNOBS)
    assert len({look(k) for k in range(200)}) == 200


def test_look_alikes_share_a_part_and_not_all():
    all_alike = Knobs(lookalikes=1.0)
    own = look_of_identity(0, 6, Knobs(lookalikes=0.0))
    before = look_of_identity(0, 5, Knobs(lookalikes=0.0))
    alike = look_of_identity(0, 6, all_alike)
    assert alike not in (own, before)
    assert (alike.top, alike.pattern) == (before.top, before.pattern) or (
        alike.bottom,
        alike.hair_style,
    ) == (before.bottom, before.hair_style)


@pytest.mark.parametrize('turn', [0, 0.8, np.pi / 2, 2.4, np.pi, -np.pi / 2])
def test_a_person_is_as_high_as_asked_from_every_side(turn):
    someone = look_of_stranger(np.random.default_rng(1))
    pose = Pose(turn, phase=0, stride=0.05, lean=0, arms='swing')
    patch, foot = draw_person(someone, pose, 120, light=0)
    solid = patch[..., 3] > 100
    rows, cols = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    high, wide = np.ptp(rows) + 1, np.ptp(cols) + 1
    assert 112 <= high <= 128
    assert 0.15 * high < wide < 0.6 * high
    assert rows[-1] == pytest.approx(foot[1], abs=6)
    assert cols.mean() == pytest.approx(foot[0], abs=20)


def test_nobody_touches_the_border_of_the_patch():
    rng = np.random.default_rng(0)
    for identity in range(60):
        pose = random_pose(rng, 0.4)
        patch, _ = draw_person(look(identity), pose, 70, light=0.5)
        alpha = patch[..., 3]
        border = alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]
        assert max(side.max() for side in border) == 0


def test_a_statue_is_grey():
    pose = Pose(0.3, 1, 0.3, 0, 'swing')
    patch, _ = draw_person(statue(look(), 120), pose, 90, light=0)
    solid = patch[patch[..., 3] == 255][:, :3].astype(int)
    assert np.ptp(solid, axis=1).max() <= 2


def test_pasting_blends_and_is_cut_at_the_border():
    image = np.full((4, 4, 3), 100, np.uint8)
    patch = np.zeros((3, 3, 4), np.uint8)
    patch[...] = (50, 0, 0, 128)  # premultiplied
    paste(image, patch, -1, 2)
    assert image[:2].min() == 100
    assert image[3, 0].tolist() == [100, 50, 50]
    assert image[3, 2].tolist() == [100, 100, 100]
    paste(image, patch, 9, 9)  # wholly outside


@pytest.mark.parametrize('seed', range(12))
def test_boxes_lie_in_the_picture_and_have_the_shape_of_people(seed):
    found = scene(seed)
    x, y, w, h = found.bboxes.T
    assert found.image.shape == (240, 320, 3)
    assert (x >= 0).all()
    assert (y >= 0).all()
    assert (x + w <= 320).all()
    assert (y + h <= 240).all()
    assert (w >= 3).all()
    assert ((found.visible >= 0) & (found.visible <= 1)).all()
    assert ((found.beyond[:, 0] > 0) <= (x == 0)).all()
    whole = (x > 0) & (x + w < 320) & (y > 0) & (y + h < 240)
    shape = (w / h)[whole]
    assert ((shape > 0.15) & (shape < 0.75)).all()


def test_boxes_fit_what_a_person_changes_in_the_picture():
    plain = Knobs(
        blur=0, noise=1, shadow=0, occluders=0, decoys=0, clutter=0,
        close_up=0, cut_off=0, quality=(95, 95),
    )  # fmt: skip
    for seed in range(6):
        rng = np.random.default_rng(seed)
        place = [5, seed]
        found = draw_scene(rng, [look(3)], 320, 240, plain, place)
        x, y, w, h = found.bboxes[0]
        inside = found.image[y : y + h, x : x + w].astype(float)
        # something of the person lies in every row and column of its box
        edge = np.abs(np.diff(inside, axis=1)).max(axis=(1, 2))
        assert (edge[2:-2] > 12).mean() > 0.95


def test_who_is_covered_is_less_visible():
    crowded = scene(0, people=25)
    alone = scene(0, people=1, knobs=Knobs(occluders=0, cut_off=0, close_up=0))
    assert alone.visible.tolist() == [1.0]
    assert crowded.visible.min() < 0.7


def test_a_fixed_place_keeps_its_background():
    calm = Knobs(
        noise=1, blur=0, gain=0, gamma=0, shadow=0, occluders=0, decoys=0
    )
    first, second, other = (
        scene(k, 1, knobs=calm, place=[9, p]).image.astype(int)
        for k, p in ((1, 1), (2, 1), (3, 2))
    )
    assert np.median(np.abs(first - second)) <= 3
    assert np.median(np.abs(first - other)) > 8


def test_pictures_may_have_any_size_and_nobody():
    empty = scene(0, people=0, size=(160, 120))
    assert empty.image.shape == (120, 160, 3)
    assert empty.bboxes.shape == (0, 4)
    assert empty.visible.shape == (0,)


def pixels_of(knobs, seeds=range(8), people=8):
    """Boxes' heights and visible shares of some scenes."""
    found = [scene(seed, people, knobs=knobs) for seed in seeds]
    return (
        np.concatenate([some.bboxes[:, 3] for some in found]),
        np.concatenate([some.visible for some in found]),
    )


def test_people_of_crowded_scenes_are_smaller_and_hidden_more():
    high, visible = pixels_of(KNOBS)
    small, hidden = pixels_of(SCENES['crowded'])
    assert np.median(small) < 0.75 * np.median(high)
    assert hidden.mean() < visible.mean()


def test_people_of_a_group_stand_beside_one_another():
    alone = replace(KNOBS, close_up=0, max_cover=1.0)

    def nearest(knobs):
        gaps = []
        for seed in range(8):
            x, _, w, h = scene(seed, 6, knobs=knobs).bboxes.T.astype(float)
            apart = np.abs((x + w / 2)[:, None] - (x + w / 2)) / w
            apart[np.abs(h[:, None] / h - 1) > 0.2] = np.inf  # not as far off
            np.fill_diagonal(apart, np.inf)
            gaps.extend(apart.min(axis=1))
        return np.mean(np.array(gaps) < 1.6)

    def at_a_border(knobs):
        there = []
        for seed in range(8):
            drawn = scene(seed, 6, knobs=knobs)
            x, _, w, _ = drawn.bboxes.T.astype(float)
            there.extend((x <= 1) | (x + w >= drawn.image.shape[1] - 1))
        return np.mean(there)

    together = replace(alone, groups=1.0)
    assert nearest(together) > 0.6
    assert nearest(alone) < 0.4
    # 0.23 of them; people far aside would all be moved to the border
    assert at_a_border(together) < 0.45


def test_dusk_takes_light_and_leaves_the_picture():
    plain, dusk = (scene(3, knobs=replace(KNOBS, dusk=d)) for d in (0, 1))
    assert np.array_equal(plain.bboxes, dusk.bboxes)
    ratio = dusk.image.mean() / plain.image.mean()
    assert 0.35 < ratio < 0.75
    assert np.corrcoef(plain.image.ravel(), dusk.image.ravel())[0, 1] > 0.9
