"""Released networks say today what they said when they were kept."""

import copy
import json

import numpy as np
import pytest

from mmps.checkpoints import read_weights

from . import releases

ENTRIES = releases.released()
HINT = 'python -m tests.zoo.releases'


@pytest.fixture(scope='module')
def kept():
    return releases.read()


@pytest.fixture(scope='module')
def shown(kept):
    """The pictures, as they were."""
    made = releases.pictures()
    assert [picture.sha256 for picture in made] == kept['pictures'], (
        'the generator renders other pictures than those of the kept '
        'predictions: the networks are not to blame'
    )
    return made


def test_what_is_released_is_kept(kept):
    files = {name: e.weights.sha256 for name, e in ENTRIES.items()}
    known = {name: r['sha256'] for name, r in kept['releases'].items()}
    assert files == known, f'{HINT} keeps what new networks say'


@pytest.mark.parametrize('name', ENTRIES)
def test_a_release_says_what_it_said(name, shown, kept):
    told = releases.predictions(ENTRIES[name], shown)
    releases.check_same(told, kept['releases'][name]['predictions'])
    assert sum(len(part['scores']) for part in told) > 4


def test_a_small_change_of_one_weight_is_seen(shown, kept):
    name = 'oim_r18_synth'
    path = str(releases.ROOT / ENTRIES[name].weights.path)
    key = 'backbone.layer2.0.conv1.weight'
    change = {key: read_weights(path)[key].float() * (1 + 1e-4)}
    told = releases.predictions(ENTRIES[name], shown, change)
    with pytest.raises(AssertionError, match='picture 0, '):
        releases.check_same(told, kept['releases'][name]['predictions'])


def shifted(part, by):
    def change(one):
        one[part][0] = (np.asarray(one[part][0]) + by).tolist()

    return change


def forget(one):
    for part in ('bboxes', 'scores', 'found'):
        one[part].pop()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (shifted('bboxes', 1e-3), 'picture 1, bboxes'),
        (shifted('scores', 3e-6), 'picture 1, scores'),
        (shifted('found', 3e-6), 'picture 1, found'),
        (shifted('given', 3e-6), 'picture 1, given'),
        (forget, r'picture 1: \(4, 5\) people'),
    ],
)
def test_other_numbers_are_not_the_same(change, message, kept):
    before = kept['releases']['oim_r18_synth']['predictions']
    now = copy.deepcopy(before)
    releases.check_same(now, before)
    change(now[1])
    with pytest.raises(AssertionError, match=message):
        releases.check_same(now, before)


@pytest.mark.parametrize(
    ('bboxes', 'scores', 'message'),
    [
        ([[0, 0, 1, 1], [5, 0, 6, 1]], [0.9, 0.5004], 'within 0.001 of 0.5'),
        ([[0, 0, 1, 1], [0.005, 0, 6, 1]], [0.9, 0.8], 'left edges too close'),
    ],
)
def test_what_a_rounding_could_change_is_not_kept(bboxes, scores, message):
    good = dict(bboxes=np.array([[0, 0, 1, 1]]), scores=np.array([0.9]))
    releases.check_clear([good, good])
    bad = dict(bboxes=np.array(bboxes), scores=np.array(scores))
    with pytest.raises(ValueError, match=message):
        releases.check_clear([good, bad])


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Runs the command on a copy of the file without one network."""
    content = releases.read()
    content['releases'].pop('det_r18_synth')
    file = tmp_path / 'releases.json'
    monkeypatch.setattr(releases, 'FILE', file)
    releases.write(content)
    assert releases.read() == content
    told = [dict(bboxes=np.ones((1, 4)), scores=np.array([0.75]))]
    monkeypatch.setattr(releases, 'predictions', lambda *args: told)

    def run(*words):
        monkeypatch.setattr('sys.argv', ['releases', *words])
        before = json.loads(file.read_text())['releases']
        releases.main()
        after = json.loads(file.read_text())['releases']
        return {name for name in after if before.get(name) != after[name]}

    return run


def test_new_networks_are_kept_and_old_numbers_stay(program):
    assert program() == {'det_r18_synth'}
    assert program() == set()
    assert program('--replace', 'oim_r18_synth') == {'oim_r18_synth'}
    assert list(releases.read()['releases']) == sorted(ENTRIES)


def test_old_numbers_are_replaced_if_asked_alone(program, capsys):
    with pytest.raises(SystemExit):
        program('oim_r18_synth', 'det_r18_synth')
    error = capsys.readouterr().err
    assert 'oim_r18_synth: kept already; --replace if' in error
    assert 'det_r18_synth' not in releases.read()['releases']
    with pytest.raises(SystemExit):
        program('oim_r19_synth')
    assert 'not released: oim_r19_synth' in capsys.readouterr().err
    assert program('--replace') == set(ENTRIES)


def test_other_pictures_replace_all_or_nothing(program, capsys, monkeypatch):
    monkeypatch.setattr(releases, 'PICTURES', ((3, 64, 48),))
    with pytest.raises(SystemExit):
        program('--replace', 'oim_r18_synth')
    assert 'other pictures' in capsys.readouterr().err
    assert program('--replace') == set(ENTRIES)
    assert len(releases.read()['pictures']) == 1
