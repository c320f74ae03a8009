"""The page on test runs: what it says, and that it asks for nothing."""

import re

import pytest

from mmps.evaluation import evaluate
from mmps.report.page import detection_table, search_table, write_report
from mmps.report.runs import Run
from mmps.report.training_log import TrainingLog
from tests.visualization.scenes import (
    make_features,
    save_images,
    three_queries,
)


def make_run(name='oim & kd', log=None, **more):
    features = make_features(three_queries())
    return Run(name, {**evaluate(features), **more}, features, log)


def page_of(tmp_path, runs, **how):
    write_report(runs, tmp_path / 'report.html', **how)
    return (tmp_path / 'report.html').read_text()


def assert_alone(page):
    """Nothing in the page is fetched from anywhere."""
    # names of XML and links within the page are no requests
    for place in re.findall(r'(?:src|href|url)\s*[=(]\s*"?([^")\s>]*)', page):
        assert place.startswith(('data:', '#')), place
    assert '<script' not in page
    assert '@import' not in page
    assert "default-src 'none'" in page


def test_a_page_shows_figures_curves_and_pictures(tmp_path):
    images = save_images(tmp_path / 'in')
    page = page_of(tmp_path, [make_run()], image_dir=images, num_each=2)
    assert_alone(page)
    assert 'oim &amp; kd' in page
    assert '75.00' in page  # mAP of 1/2 and 1
    assert page.count('<svg') == 2  # one protocol, detection
    assert 'mAP 75.0' in page
    assert page.count('<img') == 4  # two worst and two best of two
    assert 'Training' not in page


def test_without_images_or_features_the_page_says_so(tmp_path):
    page = page_of(tmp_path, [make_run()])
    assert '<img' not in page
    assert 'no folder of images was given' in page
    page = page_of(tmp_path, [make_run()], image_dir=tmp_path / 'none')
    assert '<img' not in page
    assert 'a.png is missing' in page
    alone = make_run()
    page = page_of(tmp_path, [Run('x', alone.result)])
    assert '<svg' not in page
    assert 'no features were given' in page
    assert '75.00' in page


def test_training_is_drawn(tmp_path):
    log = TrainingLog(
        {'loss': [(1, 2.0), (2, 1.0)], 'loss_oim': [(1, 1.0), (2, 0.5)]},
        {'G/mAP': [(1, 0.25)], 'G/top-1': [(1, 0.3)]},
    )
    page = page_of(tmp_path, [make_run(log=log)])
    assert 'Training: losses' in page
    assert 'loss_oim' in page
    assert 'Training: validation' in page
    assert 'G/top-1' not in page


def test_runs_stand_side_by_side_and_the_best_is_marked():
    weak = {'G/mAP': 0.5, 'H/mAP': 0.1}
    rest = dict.fromkeys(('top-1', 'top-5', 'top-10'), 0.75)
    rest |= dict(queries=7, found=1, gt=9)
    weak |= {f'{row}/{k}': v for row in 'GH' for k, v in rest.items()}
    lines = search_table([make_run('a'), Run('b', weak)])
    assert [(row['name'], row['run']) for row in lines] == [
        *(('G', 'a'), ('', 'b'), ('H', 'b')),
    ]
    cells = [row['cells'] for row in lines]
    assert [row[0] for row in cells] == [
        *(('75.00', True), ('50.00', False), ('10.00', False)),
    ]
    # top-1: 1/2 of the one, 3/4 of the other
    assert [row[1] for row in cells[:2]] == [('50.00', False), ('75.00', True)]
    # each with its own counts
    assert [cell.text for cell in cells[0][-3:]] == ['3', '2', '2']
    assert [cell.text for cell in cells[1][-3:]] == ['7', '1', '9']


def test_galleries_of_several_sizes_are_drawn_as_a_curve(tmp_path):
    run = make_run()
    sizes = {
        key.replace('G/', f'{name}/'): value
        for name in ('G50', 'G100')
        for key, value in run.result.items()
        if key.startswith('G/')
    }
    page = page_of(tmp_path, [Run('a', sizes)])
    assert 'Size of the gallery' in page
    assert page.count('<svg') == 1


def test_detection_has_a_line_for_each_run():
    run = make_run('a')
    (line,) = detection_table([run, Run('b', {'G/mAP': 1.0})])
    found, boxes = run.result['det/found'], run.result['det/boxes']
    assert line[0] == 'a'
    assert line[3:6] == [str(found), '2', str(boxes)]
    labelled = [
        run.result[f'det/{x}-labelled'] for x in ('recall', 'found', 'gt')
    ]
    assert labelled[2] > 0
    assert line[6:] == [
        f'{100 * labelled[0]:.2f}',
        *map(str, labelled[1:]),
    ]
    # a result that was written before there were such figures
    old = {k: v for k, v in run.result.items() if 'labelled' not in k}
    (line,) = detection_table([Run('old', old)])
    assert line[6:] == ['-', '-', '-']


def test_runs_of_one_name_are_refused(tmp_path):
    with pytest.raises(ValueError, match='different names'):
        page_of(tmp_path, [make_run('a'), make_run('a')])
    with pytest.raises(ValueError, match="no protocol 'X'"):
        page_of(tmp_path, [make_run('a')], protocol='X')
