import numpy as np
import pytest
from matplotlib.figure import Figure

from mmps.evaluation.comparison import Paired, compare
from mmps.visualization import comparison_picture
from mmps.visualization.comparison_picture import (
    draw_comparisons,
    draw_differences,
    draw_interval,
    draw_queries,
)
from tests.evaluation.test_comparison import drawn

AP = np.array([[0.5, 0.5, 0.2, 1.0, 0.4], [0.7, 0.7, 0.1, 1.0, 0.4]])


@pytest.fixture
def compared():
    return compare(Paired('G50', AP, AP > 0.6, 0), 400)


@pytest.fixture
def ax():
    return Figure().subplots()


def test_a_mark_is_a_pair_of_precisions_and_grows_with_them(ax, compared):
    draw_queries(ax, compared)
    won, equal, lost = ax.collections
    assert won.get_offsets().tolist() == [[50, 70]]
    assert lost.get_offsets().tolist() == [[20, 10]]
    assert equal.get_offsets().tolist() == [[40, 40], [100, 100]]
    assert won.get_sizes()[0] == pytest.approx(
        lost.get_sizes()[0] * np.sqrt(2)
    )
    words = [text.get_text() for text in ax.get_legend().get_texts()]
    assert words == ['B better: 2', 'equal: 2', 'A better: 1']


def test_differences_are_sorted_and_split_by_winner(ax, compared):
    draw_differences(ax, compared)
    lost, won = (patch.get_data() for patch in ax.patches[:2])
    assert lost.values.tolist() == pytest.approx([-10, 0, 0, 0, 0])
    assert won.values.tolist() == pytest.approx([0, 0, 0, 20, 20])
    assert won.edges.tolist() == [0, 20, 40, 60, 80, 100]


def test_interval_is_shaded_and_all_resamples_are_counted(ax, compared):
    draw_interval(ax, compared)
    found = compared.figures['mAP']
    band, *bars = ax.patches
    assert band.get_x() == pytest.approx(100 * found.low)
    assert band.get_x() + band.get_width() == pytest.approx(100 * found.high)
    assert sum(bar.get_height() for bar in bars) == 400


def test_colours_differ_for_those_who_see_no_red_or_green():
    kinds = [
        getattr(comparison_picture, name) for name in ('WON', 'LOST', 'EQUAL')
    ]
    assert len({marker for _, marker, _ in kinds}) == 3
    blue = [int(colour[5:], 16) for colour, *_ in kinds]
    assert np.ptp(blue) > 150  # what is left is told apart by blue


@pytest.mark.parametrize('suffix', ['png', 'svg', 'pdf'])
def test_files_are_written(tmp_path, suffix, compared):
    empty = compare(Paired('all', np.zeros((2, 0)), np.zeros((2, 0)), 4), 9)
    many = compare(drawn(np.random.default_rng(0), 300, 0.05), 400)
    out = tmp_path / f'compared.{suffix}'
    draw_comparisons([compared, empty, many], ('old', 'new'), out)
    starts = {'png': b'\x89PNG', 'svg': b'<?xml', 'pdf': b'%PDF'}
    assert out.read_bytes().startswith(starts[suffix])
