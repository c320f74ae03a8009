import cv2
import numpy as np
import pytest

from mmps.evaluation.dump import write_dump
from mmps.evaluation.rankings import search_of_features
from mmps.visualization.canvas import MISSED, RIGHT, WRONG
from mmps.visualization.ranking_sheet import (
    describe,
    image_paths,
    query_sheet,
    ranking_sheet,
    save_ranking_sheet,
)
from tests.visualization.scenes import make_features, save_images, shows


@pytest.fixture
def features():
    return make_features()


@pytest.fixture
def image_dir(tmp_path):
    return save_images(tmp_path / 'images')


def test_ranking_is_that_of_the_score(features):
    best = search_of_features(features).ranking('G', 0)
    # 10 degrees: someone else; 20: the person; 30: a second box on them
    assert best.rows.tolist() == [3, 2, 1, 4]
    assert best.similarity == pytest.approx(
        np.cos(np.deg2rad([10, 20, 30, 40])), abs=1e-7
    )
    assert best.is_right.tolist() == [False, True, False, False]


def test_frames_say_what_is_right(features, image_dir):
    paths = image_paths(features.image_names, image_dir)
    search = search_of_features(features)
    sheet = ranking_sheet(search, paths, 'G', [0], top=5)
    tile = sheet.shape[1] // 6
    frames = [tuple(sheet[4, i * tile + tile // 2]) for i in range(6)]
    assert frames[1:5] == [WRONG, RIGHT, WRONG, WRONG]
    assert frames[5] == (255, 255, 255)  # the gallery has four boxes


@pytest.mark.parametrize(('top', 'missed'), [(1, True), (2, False)])
def test_a_person_behind_the_shown_is_drawn_as_missed(
    features, image_dir, top, missed
):
    paths = image_paths(features.image_names, image_dir)
    search = search_of_features(features)
    sheet = query_sheet(search, paths, 'G', 0, top=top)
    assert shows(sheet, MISSED) == missed
    assert shows(sheet, RIGHT) != missed


def test_the_heading_tells_the_figures(features):
    search = search_of_features(features)
    text = describe(search, 'G', 0, search.ranking('G', 0))
    assert text == (
        'query 0, p1 in a.png, G: AP 0.50, found 1 of 1, first correct at 2'
    )
    cut = search_of_features(features, 0.95)  # nothing is left
    text = describe(cut, 'G', 0, cut.ranking('G', 0))
    assert text.endswith('AP 0.00, found 0 of 1, none is correct')


def test_a_sheet_is_written(features, image_dir, tmp_path):
    out = tmp_path / 'sheet.png'
    save_ranking_sheet(features, image_dir, out, protocol='G')
    assert cv2.imread(str(out)).shape[0] > 100


def test_a_wrong_folder_protocol_or_file_is_named(
    features, image_dir, tmp_path
):
    with pytest.raises(FileNotFoundError, match=r'a\.png is missing'):
        save_ranking_sheet(features, tmp_path, 'x.png', protocol='G')
    with pytest.raises(ValueError, match="no protocol 'G50'"):
        save_ranking_sheet(features, tmp_path, 'x.png', protocol='G50')
    for name in ('no/sheet.png', 'sheet.text'):
        with pytest.raises(OSError, match='cannot be written'):
            save_ranking_sheet(
                features, image_dir, tmp_path / name, protocol='G'
            )


def test_the_command_names_the_protocols_there_are(
    features, image_dir, tmp_path, command
):
    dump, out = tmp_path / 'dump.npz', tmp_path / 'sheet.png'
    write_dump(features, dump)
    words = ('ranking', dump, image_dir, '--out', out, '--protocol')
    code, _, err = command(*words, 'G100')
    assert code == 2
    assert err.startswith("mmps ranking: no protocol 'G100'")
    assert 'it has: G' in err
    assert not out.exists()
    assert command(*words, 'G') == (0, f'wrote {out}\n', '')
    assert cv2.imread(str(out)) is not None
