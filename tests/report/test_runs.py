import json
import math

import pytest

from mmps.evaluation import evaluate, write_dump
from mmps.evaluation.result_text import write_json
from mmps.report.runs import read_run
from tests.evaluation.random_sets import random_features
from tests.report.test_training_log import loss, write


@pytest.fixture
def features():
    return random_features(1)


@pytest.fixture
def files(features, tmp_path):
    write_dump(features, tmp_path / 'run.npz')
    write_json(evaluate(features), tmp_path / 'run.json')
    return tmp_path


def same(a, b):
    return a.keys() == b.keys() and all(
        a[key] == b[key] or (math.isnan(a[key]) and math.isnan(b[key]))
        for key in a
    )


@pytest.mark.parametrize('kind', ['json', 'npz', 'json,npz', 'npz,json'])
def test_a_run_is_a_result_or_features_or_both(files, features, kind):
    text = ','.join(f'{files}/run.{part}' for part in kind.split(','))
    run = read_run(text)
    assert run.name == 'run'
    assert same(run.result, evaluate(features))
    assert (run.features is not None) == ('npz' in kind)
    assert run.log is None
    assert read_run(f'teacher={text}').name == 'teacher'


def test_the_written_result_may_have_more_rows(files, features):
    more = evaluate(features, cws=True)
    write_json(more, files / 'run.json')
    run = read_run(f'{files}/run.json,{files}/run.npz')
    assert same(run.result, more)


def test_a_result_of_an_older_version_may_have_fewer_figures(files, features):
    scored = evaluate(features)
    old = {key: v for key, v in scored.items() if 'labelled' not in key}
    assert len(old) == len(scored) - 3
    write_json(old, files / 'run.json')
    run = read_run(f'{files}/run.json,{files}/run.npz')
    assert same(run.result, old)


def test_the_log_is_found_beside_or_given(files, tmp_path):
    write(tmp_path, '2026', [loss(5, 1.0)])
    assert read_run(f'{files}/run.npz').log.losses['loss'] == [(5, 1.0)]
    write(tmp_path / 'work', '2026', [loss(7, 2.0)])
    run = read_run(f'{files}/run.json,{tmp_path}/work')
    assert run.log.losses['loss'] == [(7, 2.0)]


def test_a_result_of_other_features_is_refused(files, features):
    result = evaluate(features)
    result['det/boxes'] += 1
    write_json(result, files / 'run.json')
    with pytest.raises(ValueError, match=r'det/boxes = .*different runs'):
        read_run(f'{files}/run.json,{files}/run.npz')


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('{0}', 'names no result'),
        ('{0}/run.json,{0}/run.json', 'one .json'),
        ('{0}/other.txt', 'one .json'),
        ('a={0}/run.json,{0}/empty', 'no .*scalars'),
        ('', 'names no result'),
        ('{0}/list.json', 'not a result'),
        ('{0}/words.json', 'numbers named'),
        ('{0}/flat.json', 'numbers named'),
    ],
)
def test_what_is_no_run_is_named(files, text, message):
    (files / 'other.txt').write_text('')
    (files / 'empty').mkdir()
    for name, content in (
        ('list', [1]),
        ('words', {'a/b': 'c'}),
        ('flat', {'mAP': 1}),
    ):
        (files / f'{name}.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match=message):
        read_run(text.format(files))
    with pytest.raises(FileNotFoundError, match='no such file'):
        read_run(f'{files}/none.npz')
