import cv2
import pytest
from mmengine.utils import scandir

from mmps.demo.examples import SIZE, draw_examples
from mmps.synthetic import plan_cuhk_sysu

from .conftest import FEW


def test_the_gallery_is_everything_but_the_pictures_of_the_queries(examples):
    shown = [query.image for query in examples.queries]
    assert len(set(shown)) == len(shown) == 2
    assert not set(shown) & set(examples.gallery)
    assert len(examples.gallery) == FEW.test.pictures - 2


def test_boxes_lie_in_their_pictures(examples):
    for image, (x1, y1, x2, y2) in examples.queries:
        height, width = cv2.imread(image).shape[:2]
        assert (width, height) == FEW.picture
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height


@pytest.mark.parametrize('size', [FEW, SIZE])
def test_everybody_can_be_found_elsewhere(size):
    plan = plan_cuhk_sysu.make_plan(size, 0)
    assert all(len(found) >= 2 for found in plan.positives)


def test_the_same_seed_draws_the_same(examples, tmp_path):
    again = draw_examples(tmp_path, num_queries=2, size=FEW)
    assert [q.box for q in again.queries] == [q.box for q in examples.queries]
    for old, new in zip(examples.gallery, again.gallery, strict=True):
        assert cv2.imread(old).tobytes() == cv2.imread(new).tobytes()
    assert len(list(scandir(str(tmp_path)))) == FEW.test.pictures
