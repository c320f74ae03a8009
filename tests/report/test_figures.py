"""What is drawn, not how: the lines that go into the panels."""

import pytest

from mmps.evaluation import evaluate
from mmps.report import figures
from mmps.report.figures import curve_figures
from mmps.report.runs import Run
from tests.visualization.scenes import make_features, three_queries


@pytest.fixture
def drawn(monkeypatch):
    """Name of a figure -> its panels."""
    panels = {}

    def note(given, name, **_):
        panels[name] = given
        return '<svg></svg>'

    monkeypatch.setattr(figures, 'draw', note)
    return panels


def test_curves_hold_the_printed_figures(drawn):
    features = make_features(three_queries())
    result = evaluate(features)
    curve_figures([Run('a', result, features)], 0.5)
    matches, precision = drawn['search-G']
    (line,) = matches.lines
    for k in (1, 5, 10):
        assert line.y[k - 1] == pytest.approx(100 * result[f'G/top-{k}'])
    assert precision.lines[0].label == 'a: mAP 75.0'
    (found,) = drawn['detection'][0].lines
    assert found.x[-1] == pytest.approx(100 * result['det/recall'])


def test_sizes_of_galleries_rise(drawn):
    result = {
        f'G{size}/{figure}': 1 / size
        for size in (1000, 50, 100)
        for figure in ('mAP', 'top-1')
    }
    curve_figures([Run('a', result), Run('b', {'all/mAP': 1.0})], 0.5)
    for panel in drawn['sizes']:
        (line,) = panel.lines
        assert line.x == (50, 100, 1000)
        assert line.y == pytest.approx((2, 1, 0.1))
