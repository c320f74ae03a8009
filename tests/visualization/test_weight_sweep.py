import statistics

import pytest
from matplotlib import pyplot as plt
from PIL import Image

from mmps.visualization import save_weight_sweep


def results(search, boxes):
    return [
        {'G50/mAP': s, 'det/AP': b} for s, b in zip(search, boxes, strict=True)
    ]


CURVES = {
    'no KD': {
        1.0: results([0.2, 0.3], [0.7, 0.74]),
        0.1: results([0.1, 0.1], [0.8, 0.8]),
    },
    'KD': {0.3: results([0.4], [0.9])},
}


@pytest.mark.parametrize('detector', [[], [{'det/AP': 0.95}]])
def test_points_are_means_in_the_order_of_weights(
    detector, tmp_path, monkeypatch
):
    shown = []
    monkeypatch.setattr(plt, 'close', shown.append)
    path = tmp_path / 'new' / 'sweep.png'
    save_weight_sweep(CURVES, detector, 'G50', path)
    (figure,) = shown
    for panel, key in zip(figure.axes, ('G50/mAP', 'det/AP'), strict=True):
        lines = {
            bar.get_label(): bar.lines[0].get_xydata().tolist()
            for bar in panel.containers
        }
        for label, points in CURVES.items():
            assert lines[label] == [
                [w, statistics.mean(100 * r[key] for r in points[w])]
                for w in sorted(points)
            ]
        legend = {text.get_text() for text in panel.get_legend().texts}
        alone = bool(detector) and key == 'det/AP'
        assert ('detector alone' in legend) == alone
    monkeypatch.undo()
    plt.close(figure)
    with Image.open(path) as picture:
        assert picture.size == (1080, 432)
