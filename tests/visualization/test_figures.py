import xml.etree.ElementTree as ET

import numpy as np

from mmps.visualization.figures import COLOURS, Line, Panel, draw, thinned

LINE = Line('one & two', 0, [1, 2, 3], [0.5, 0.25, 1.0])
OTHER = Line('three', 1, [1, 2, 3], [0.1, np.nan, 0.9], steps=True)


def test_a_figure_is_one_element_in_the_colour_of_the_page():
    svg = draw([Panel('title <1>', 'x', 'y', [LINE, OTHER])], 'name')
    root = ET.fromstring(svg)
    assert root.tag.endswith('svg')
    text = ''.join(root.itertext())
    for word in ('title <1>', 'x', 'y', 'one & two', 'three'):
        assert word in text
    assert 'currentColor' in svg
    assert COLOURS[0] in svg
    assert COLOURS[1] in svg
    assert 'href="http' not in svg


def test_the_same_lines_give_the_same_text_and_names_differ():
    panels = [Panel('t', 'x', 'y', [LINE])]
    assert draw(panels, 'a') == draw(panels, 'a')
    ids = []
    for name in ('a', 'b'):
        root = ET.fromstring(draw(panels, name))
        ids += [e.get('id') for e in root.iter() if e.get('id')]
    assert len(ids) == len(set(ids)) > 0


def test_one_line_needs_no_legend_unless_it_is_asked_for():
    panel = Panel('t', 'x', 'y', [LINE])
    assert 'one &amp; two' not in draw([panel], 'a')
    assert 'one &amp; two' in draw([panel._replace(legend=True)], 'a')


def test_long_lines_are_thinned_and_keep_their_ends():
    x = np.arange(10_000.0)
    few, values = thinned(x, 2 * x, 100)
    assert len(few) == 100
    assert (few[0], few[-1]) == (0, 9999)
    assert (values == 2 * few).all()
    assert len(thinned(x[:5], x[:5], 100)[0]) == 5
