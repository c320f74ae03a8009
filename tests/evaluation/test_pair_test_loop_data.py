"""The pairwise test on data that is not as it should be."""

import pytest

from mmps.datasets import DatasetError
from tests.datasets import layouts


@pytest.fixture
def make_on(make, tmp_path):
    """A loop on tiny data in the layout of CUHK-SYSU, changed."""

    def build(image=None, **layout):
        root = layouts.write_cuhk(tmp_path / 'cuhk', **layout)
        if image is not None:
            (root / 'Image/SSM' / image).unlink()
        return make(root=root, evaluator=dict(protocols=['G50']))

    return build


def asked_at(where):
    """The first query has another box in s4.jpg, of 300 x 40 pixels."""
    first, *others = layouts.QUERIES
    queries = [(layouts.query('s4.jpg', where, 'p7'), first[1]), *others]
    return {'TestG50': queries}


def test_data_that_is_as_it_should_be_is_searched(make_on, pairs_run):
    found = make_on().run()
    assert found['G50/queries'] == 2
    assert pairs_run == [4]


def test_a_query_is_cut_off_at_its_image(make_on):
    loop = make_on(protocols=asked_at(layouts.box(280, 5, 40, 18)))
    loop.model.eval()
    with loop.pictures() as pictures:
        ((item, box),) = pictures.queries([0])
    state = loop.searcher().begin_query(item, box)
    width, height = item['data_samples'].img_shape[::-1]
    assert float(state.box[0, 2]) == pytest.approx(width, abs=1e-3)
    assert 0 < state.box[0, 0] < width
    assert state.box[0, 3] < height


def test_a_part_of_the_test_set_is_refused(make_on):
    loop = make_on()
    loop.dataloader.dataset.get_subset_([1, 2])
    with pytest.raises(ValueError, match='pairs need the whole test set'):
        list(loop.pictures().images([0]))


def test_a_query_outside_of_its_image_is_named(make_on):
    loop = make_on(protocols=asked_at(layouts.box(500, 5, 40, 18)))
    with pytest.raises(
        DatasetError,
        match=r's4\.jpg: the box \[500\.0, 5\.0, 540\.0, 23\.0\] .*of query 0 '
        r"has no area in the image of 300 x 40 pixels; .*\(p7\).*'G50'",
    ):
        loop.run()


def test_a_query_without_a_box_is_named_before_anything_runs(make_on):
    with pytest.raises(
        DatasetError, match=r'TestG50\.mat: query 0 \(p7\) has no'
    ):
        make_on(protocols=asked_at(layouts.NOBODY))


@pytest.mark.parametrize(
    ('image', 'needed'),
    [
        ('s10.jpg', r'query 0 \(p7\) and 1 more'),  # in both galleries
        ('s4.jpg', r'query 0 \(p7\) and 1 more'),  # own image and gallery
    ],
)
def test_an_image_that_is_missing_names_protocol_and_query(
    make_on, image, needed
):
    with pytest.raises(
        DatasetError,
        match=rf"{image}: no such image; needed for {needed} of .*'G50'",
    ):
        make_on(image).run()


def test_a_gallery_image_without_annotation_is_named(make_on):
    first, *others = layouts.QUERIES
    listed = layouts.gallery(('s1.jpg', layouts.NOBODY))
    with pytest.raises(
        DatasetError,
        match=r"TestG50\.mat: the gallery of query 0 lists 's1\.jpg'",
    ):
        make_on(protocols={'TestG50': [(first[0], listed), *others]})
