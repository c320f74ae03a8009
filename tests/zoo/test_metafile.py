import math

import pytest
import yaml

from mmps.zoo import ReleasedFile, ZooError, load_index
from mmps.zoo.metafile import dumps, file_record, record, results_of

from .small import entry, write_zoo

METAFILE = 'configs/oim/metafile.yml'


def test_figures_of_a_test_are_percent_with_one_digit():
    result = {
        'det/AP': 0.97049,
        'det/recall': 0.9755,
        'det/gt': 1234,
        'G50/mAP': 2 / 3,
        'G50/top-1': 0.0,
        'G50/top-5': 1.0,
        'G50/queries': 180,
        'G50+gt-boxes/top-10': 0.12345,
    }
    assert results_of(result, 'synth-small') == [
        {
            'Task': 'Object Detection',
            'Dataset': 'synth-small',
            'Metrics': {'AP': 97.0, 'recall': 97.5},
        },
        {
            'Task': 'Person Search',
            'Dataset': 'synth-small, G50',
            'Metrics': {'mAP': 66.7, 'top-1': 0.0, 'top-5': 100.0},
        },
        {
            'Task': 'Person Search',
            'Dataset': 'synth-small, G50+gt-boxes',
            'Metrics': {'top-10': 12.3},
        },
    ]


def test_what_is_there_twice_is_written_twice():
    """No alias, which ``read_metafile`` refuses."""
    shared = {'mAP': 1.5}
    text = dumps({'one': shared, 'two': shared})
    assert text == 'one:\n  mAP: 1.5\ntwo:\n  mAP: 1.5\n'


def test_what_could_not_be_measured_has_no_figure():
    result = {'det/AP': math.nan, 'G50/mAP': None, 'G50/top-1': 0.5}
    (table,) = results_of(result, 'x')
    assert table['Metrics'] == {'top-1': 50.0}


def test_figures_are_read_back_as_the_index_has_them(tmp_path):
    result = {'det/AP': 0.5, 'G50/mAP': 0.25, 'G100/mAP': 0.125}
    model = entry('x', Results=results_of(result, 'data'))
    assert write_zoo(tmp_path, model).find('x').results == {
        'data': {'AP': 50.0},
        'data, G50': {'mAP': 25.0},
        'data, G100': {'mAP': 12.5},
    }


def test_a_recorded_entry_keeps_what_is_not_updated(tmp_path):
    metadata = {'Training Data': 'x', 'Epochs': 20}
    index = write_zoo(
        tmp_path,
        entry('before'),
        entry('x', Metadata=metadata, Log='old.json', Size=3),
        entry('after'),
    )
    updates = {
        'Metadata': {'Epochs': 8, 'Seed': 0},
        **file_record(ReleasedFile('weights/x', 'ab' * 32, 7), 'Weights'),
    }
    record(tmp_path / METAFILE, 'x', updates)
    again = load_index(tmp_path)
    assert list(again.entries) == ['before', 'x', 'after']
    for name in ('before', 'after'):
        assert again.find(name) == index.find(name)
    found = again.find('x')
    assert found.metadata == {'Training Data': 'x', 'Epochs': 8, 'Seed': 0}
    assert (found.weights.path, found.weights.size) == ('weights/x', 7)
    assert found.log == 'old.json'
    assert index.find('x').metadata == metadata
    assert [p.name for p in (tmp_path / METAFILE).parent.iterdir()] == [
        'metafile.yml'
    ]


def test_collections_stay(tmp_path):
    write_zoo(tmp_path, entry('x'))
    path = tmp_path / METAFILE
    content = yaml.safe_load(path.read_text())
    path.write_text(dumps({'Collections': [{'Name': 'OIM'}], **content}))
    record(path, 'x', {'Log': 'x.json'})
    assert path.read_text().startswith('Collections:\n- Name: OIM\nModels:\n')


def test_an_entry_that_is_not_there_is_not_made(tmp_path):
    write_zoo(tmp_path, entry('x'))
    path = tmp_path / METAFILE
    before = path.read_text()
    with pytest.raises(ZooError, match=r'has no entry y.*Add one'):
        record(path, 'y', {'Log': 'y.json'})
    assert path.read_text() == before
    for content in ('Models: 3\n', 'Models: [3, {Config: x}]\n'):
        path.write_text(content)
        with pytest.raises(ZooError, match=r'has no entry y'):
            record(path, 'y', {'Log': 'y.json'})
    missing = tmp_path / 'metafile.yml'
    with pytest.raises(ZooError, match=r'metafile\.yml: cannot be re'):
        record(missing, 'x', {})
    assert not missing.exists()


def test_there_is_one_way_to_write_a_metafile():
    content = {'b': 'é', 'a': ['word ' * 30, 1.0, None, True]}
    text = dumps(content)
    assert yaml.safe_load(text) == content
    assert text.startswith('b: é\na:\n- ')
    assert max(map(len, text.splitlines())) < 85
    assert dumps(yaml.safe_load(text)) == text


def test_what_stands_twice_is_written_twice(tmp_path):
    shared = [{'Dataset': 'x', 'Metrics': {'AP': 1.5}}]
    keys = {'Results': shared, 'Paper Results': shared}
    found = write_zoo(tmp_path, entry('x', **keys)).find('x')
    assert found.results == found.paper == {'x': {'AP': 1.5}}
