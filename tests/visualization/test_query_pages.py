import re

import cv2
import pytest

from mmps.evaluation.rankings import search_of_features
from mmps.visualization.query_pages import ends, save_query_pages
from mmps.visualization.ranking_sheet import image_paths
from tests.visualization.scenes import (
    make_features,
    save_images,
    three_queries,
)


@pytest.fixture
def scene(tmp_path):
    features = make_features(three_queries())
    paths = image_paths(features.image_names, save_images(tmp_path / 'in'))
    return search_of_features(features), paths


def test_pictures_are_named_by_success(scene, tmp_path):
    out = tmp_path / 'new' / 'out'
    files = save_query_pages(*scene, out)
    # the third query has no AP: nobody of its gallery is the person
    assert [file.name for file in files] == [
        '0001_ap0.50_q0_p1_a.jpg',
        '0002_ap1.00_q0_p1_a.jpg',
    ]
    for file in files:
        assert cv2.imread(str(file)).shape[0] > 100
    page = (out / 'index.html').read_text()
    shown = re.findall(r'<img [^>]*src="([^"]*)"', page)
    assert sorted(shown) == [file.name for file in files]


def test_the_worst_and_the_best_come_from_both_ends(scene, tmp_path):
    places = list(range(7))
    assert ends(places, 2) == ([0, 1], [6, 5])
    assert ends(places, None) == (places, places[::-1])
    assert ends([], 2) == ([], [])
    files = save_query_pages(*scene, tmp_path / 'out', num_each=1)
    assert [file.name[:4] for file in files] == ['0001', '0002']
    page = (tmp_path / 'out/index.html').read_text()
    assert page.index('Worst first') < page.index('0001_')
    assert page.index('0001_') < page.index('0002_')


def test_names_become_names_of_files(scene, tmp_path):
    search, paths = scene
    query = search.queries[0]
    object.__setattr__(query, 'identity', '../Zoë <b>')
    files = save_query_pages(search, paths, tmp_path / 'out', num_each=1)
    assert {file.parent for file in files} == {tmp_path / 'out'}
    assert '<b>' not in (tmp_path / 'out/index.html').read_text()


def test_what_cannot_be_drawn_is_named(scene, tmp_path):
    search, paths = scene
    with pytest.raises(ValueError, match="no protocol 'G50'"):
        save_query_pages(search, paths, tmp_path, protocol='G50')
    empty = three_queries()['G']
    protocols = {'G': type(empty)(empty.queries[2:], empty.galleries[2:])}
    nobody = search_of_features(make_features(protocols))
    with pytest.raises(ValueError, match="'G' has no query whose gallery"):
        save_query_pages(nobody, paths, tmp_path)
