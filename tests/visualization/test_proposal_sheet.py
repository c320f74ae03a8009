import cv2
import numpy as np
import pytest

from mmps.evaluation.proposal_recall import Case
from mmps.structures import Query
from mmps.visualization import save_proposal_sheet
from mmps.visualization.canvas import RIGHT, WRONG
from tests.visualization.scenes import OTHER, PERSON, save_images, shows


def test_a_sheet_of_proposals_shows_both_orders(tmp_path):
    folder = save_images(tmp_path)
    paths = [str(folder / 'a.png'), str(folder / 'b.png')]
    person, other = np.array(PERSON, float), np.array(OTHER, float)
    case = Case(0, 1, person, rpn=other[None], guided=person[None])
    out = tmp_path / 'sheet.png'
    save_proposal_sheet([case], paths, (Query(0, person, 'p1'),), out)
    sheet = cv2.imread(str(out))
    middle = sheet.shape[1] // 2 + 60
    assert shows(sheet[:, :middle], WRONG)
    assert not shows(sheet[:, :middle], RIGHT)
    assert shows(sheet[:, middle:], RIGHT)
    assert not shows(sheet[:, middle:], WRONG)

    (tmp_path / 'b.png').unlink()
    with pytest.raises(FileNotFoundError, match='missing'):
        save_proposal_sheet([case], paths, (Query(0, person, 'p1'),), out)
