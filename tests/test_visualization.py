import cv2
import numpy as np
import pytest

from mmps.evaluation.features import Boxes, Features
from mmps.evaluation.proposal_recall import Case
from mmps.structures import Gallery, Protocol, Query
from mmps.visualization import (
    RIGHT,
    WRONG,
    rank,
    ranking_sheet,
    save_proposal_sheet,
    save_ranking_sheet,
)

PERSON, OTHER = [10, 10, 30, 60], [50, 10, 70, 60]


def unit(*angles):
    rad = np.deg2rad(angles)
    return np.stack([np.cos(rad), np.sin(rad)], axis=1)


@pytest.fixture
def features():
    """Image 0 has the query; 1 shows the person, 2 does not."""
    boxes = np.array([PERSON, PERSON, PERSON, OTHER, OTHER, OTHER], float)
    scores = np.array([0.9, 0.9, 0.9, 0.9, 0.9, 0.2])
    # image 1 has two boxes on the person: the more similar one counts
    angles = (0, 30, 20, 10, 40, 0)
    detections = Boxes(boxes, scores, unit(*angles), np.array([0, 1, 4, 6]))
    truth = Boxes(np.zeros((0, 4)), np.zeros(0), None, np.zeros(4, int))
    gallery = Gallery(
        images=np.array([0]),
        positives=np.array([1]),
        bboxes=np.array([PERSON], float),
        complement=True,
    )
    return Features(
        image_names=['a.png', 'b.png', 'c.png'],
        detections=detections,
        ground_truth=truth,
        gt_ids=np.zeros(0, int),
        queries=(Query(0, np.array(PERSON, float), 'p1'),),
        query_embeddings=unit(0),
        protocols={'G': Protocol(np.array([0]), (gallery,))},
    )


@pytest.fixture
def image_dir(tmp_path):
    for name in ('a', 'b', 'c'):
        cv2.imwrite(
            str(tmp_path / f'{name}.png'), np.full((80, 100, 3), 77, np.uint8)
        )
    return tmp_path


def test_ranking_is_that_of_the_score(features):
    best = rank(features, features.detections.above(0.5), 'G', 0, top=3)
    # 10 degrees: someone else; 20: the person; 30: a second box on them
    assert best.rows.tolist() == [3, 2, 1]
    assert best.similarity == pytest.approx(
        np.cos(np.deg2rad([10, 20, 30])), abs=1e-7
    )
    assert best.is_right.tolist() == [False, True, False]


def test_frames_say_what_is_right(features, image_dir):
    sheet = ranking_sheet(features, image_dir, 'G', [0], top=5)
    tile = sheet.shape[1] // 6
    frames = [tuple(sheet[4, i * tile + tile // 2]) for i in range(6)]
    assert frames[1:5] == [WRONG, RIGHT, WRONG, WRONG]
    assert frames[5] == (255, 255, 255)  # the gallery has four boxes


def test_a_sheet_is_written(features, image_dir, tmp_path):
    out = tmp_path / 'sheet.png'
    save_ranking_sheet(features, image_dir, out, protocol='G')
    assert cv2.imread(str(out)).shape[0] > 100


def test_a_wrong_folder_or_protocol_is_named(features, tmp_path):
    with pytest.raises(FileNotFoundError, match=r'a\.png is missing'):
        ranking_sheet(features, tmp_path, 'G', [0])
    with pytest.raises(ValueError, match="no protocol 'G50'"):
        save_ranking_sheet(features, tmp_path, 'x.png', protocol='G50')


def test_a_sheet_of_proposals_shows_both_orders(tmp_path):
    paths = []
    for name in ('a', 'b'):
        paths.append(str(tmp_path / f'{name}.png'))
        cv2.imwrite(paths[-1], np.full((80, 100, 3), 77, np.uint8))
    person, other = np.array(PERSON, float), np.array(OTHER, float)
    case = Case(0, 1, person, rpn=other[None], guided=person[None])
    out = tmp_path / 'sheet.png'
    save_proposal_sheet([case], paths, (Query(0, person, 'p1'),), out)
    sheet = cv2.imread(str(out))
    middle = sheet.shape[1] // 2 + 60

    def shows(part, colour):
        return bool((part == colour).all(axis=2).any())

    assert shows(sheet[:, :middle], WRONG)
    assert not shows(sheet[:, :middle], RIGHT)
    assert shows(sheet[:, middle:], RIGHT)
    assert not shows(sheet[:, middle:], WRONG)

    (tmp_path / 'b.png').unlink()
    with pytest.raises(FileNotFoundError, match='missing'):
        save_proposal_sheet([case], paths, (Query(0, person, 'p1'),), out)
