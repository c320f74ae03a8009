"""From a checkpoint to an entry of the zoo, on synthetic scenes."""

import itertools
import json
import subprocess
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config

from mmps import publishing
from mmps.apis import load_config, run_test
from mmps.checkpoints import CheckpointError, load_checkpoint_file
from mmps.datasets import CUHKSYSUDataset
from mmps.distillation import read_table
from mmps.errors import InputError
from mmps.evaluation.match_threshold import match_threshold
from mmps.publishing import Training, publish
from mmps.zoo import load_index
from mmps.zoo.metafile import dumps, results_of
from tests.distillation.test_kd_reid_run import CONFIG
from tests.models.build import build
from tests.synthetic.sets import copy_cuhk_sysu
from tests.zoo.small import (
    entry,
    make_default,
    private_cache,
    put,
    write_zoo,
)

ROOT = Path(__file__).parents[1]
NUMBER = itertools.count()  # mmengine wants a new name for each run
LOSS = 'roi_head.oim_head.loss_oim.'
NAMES = [f'é{i}' for i in range(80)]
TERMS = {
    'Training Data': 'drawn',
    'Data Terms': 'shows no real people',
    'Weights License': 'Apache-2.0',
    'Intended Use': 'tests',
}
TRAINING = dict(resources='1 core', hours=0.5)
GIT = ('git', '-c', 'user.name=x', '-c', 'user.email=x@x.example')
TEACHER = """
# a teacher that is nowhere: publishing needs none
model['distiller'] = dict(
    type='KnowledgeDistiller', teacher='no.py', checkpoint='no.pth')
"""
FIGURES = {'det/AP': 0.5, 'G10/mAP': 0.25, 'G10/queries': 20}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data') / 'scenes'
    copy_cuhk_sysu(folder)
    return folder


@pytest.fixture
def root(tmp_path, data, monkeypatch):
    """A repository with the config of one small network."""
    private_cache(monkeypatch, tmp_path)
    root = tmp_path / 'clone'
    write_zoo(root, entry('x', Metadata=TERMS), entry('other'))
    text = CONFIG.format(root=ROOT, data=data, epochs=1)
    (root / 'configs/oim/x.py').write_text(text + TEACHER)
    make_default(monkeypatch, root)
    git(root, 'init', '-q')
    git(root, 'commit', '-q', '--allow-empty', '-m', 'x')
    return root


def git(root, *words):
    done = subprocess.run(
        (*GIT, '-C', root, *words), check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture(scope='module')
def metainfo(data):
    """What a checkpoint notes of its training set."""
    return CUHKSYSUDataset(data_root=str(data)).metainfo


@pytest.fixture
def saved(root, metainfo):
    """A checkpoint of its training, as far as we care."""
    cfg = Config.fromfile(root / 'configs/oim/x.py')
    text = cfg.pretty_text
    cfg.model.pop('distiller')
    model = build(cfg.model)
    model.roi_head.oim_head.loss_oim.name_identities(NAMES)
    state = model.state_dict()
    state['distiller.adapt.weight'] = torch.ones(3)
    meta = dict(seed=5, epoch=2, iter=12, cfg=text, dataset_meta=metainfo)
    return dict(state_dict=state, meta=meta, optimizer={})


@pytest.fixture
def tested(monkeypatch):
    """In place of a test: keeps the file that it was given."""
    files = []

    def load_only(cfg, checkpoint, on_search):
        files.append(load_checkpoint_file(checkpoint))
        return dict(FIGURES)

    monkeypatch.setattr(publishing, 'run_test', load_only)
    return files


def run(root, saved, more=(), commit='HEAD', log=None, **options):
    """Publish into weights/ of the repository."""
    path = root.parent / 'epoch_2.pth'
    training = Training(commit=commit, log=log, **TRAINING)
    torch.save(saved, path)
    options = dict(half=True, weights=True, table=False) | options
    work = root.parent / 'work'
    return publish(
        str(root / 'configs/oim/x.py'),
        str(path),
        root / 'weights',
        training,
        cfg_options=dict(
            work_dir=str(work),
            experiment_name=f'publish{next(NUMBER)}',
            **dict(more),
        ),
        **options,
    )


def written(root):
    return sorted(p.name for p in (root / 'weights').glob('*'))


def test_what_is_published_scores_what_its_entry_says(
    root, saved, monkeypatch
):
    # fresh weights find nobody
    monkeypatch.setattr(publishing, 'check_found_something', lambda *_: None)
    (path,) = run(root, saved)
    found = load_index(root).find('x')
    assert path == root / found.weights.path
    searched = [f'drawn, {p}' for p in ('occlusion', 'low-resolution')]
    own_boxes = [f'{data}+gt-boxes' for data in searched]
    assert list(found.results) == ['drawn', *searched, *own_boxes]
    assert all(found.results[data]['top-10'] > 0 for data in own_boxes)
    # a user's test of the address
    cfg = load_config(
        str(root / 'configs/oim/x.py'),
        work_dir=str(root.parent / 'again'),
        cfg_options=dict(experiment_name=f'publish{next(NUMBER)}'),
    )
    searches = []
    result = run_test(cfg, 'zoo://x', on_search=searches.append)
    tables = results_of(result, 'drawn')
    (search,) = searches
    limit = match_threshold(search).similarity
    assert found.match_threshold == round(limit, 3)
    assert {t['Dataset']: t['Metrics'] for t in tables} == found.results


def test_no_more_is_published_than_a_test_needs(root, saved, tested):
    (path,) = run(root, saved)
    loaded = load_checkpoint_file(path)
    expected = {
        key: value
        for key, value in saved['state_dict'].items()
        if not key.startswith(('distiller.', LOSS))
    }
    assert len(expected) < len(saved['state_dict']) - 4
    assert loaded['state_dict'].keys() == expected.keys()
    for key, value in loaded['state_dict'].items():
        half = expected[key].is_floating_point()
        assert value.dtype == (torch.float16 if half else torch.int64)
        assert torch.equal(value, expected[key].to(value.dtype)), key
    # and it is what was tested
    (trial,) = tested
    for key, value in trial['state_dict'].items():
        assert torch.equal(value, loaded['state_dict'][key]), key


def test_single_precision_keeps_every_bit(root, saved, tested):
    (path,) = run(root, saved, half=False)
    for key, value in load_checkpoint_file(path)['state_dict'].items():
        assert torch.equal(value, saved['state_dict'][key]), key


def test_the_entry_says_how_it_came_about(root, saved, tested):
    log = root.parent / 'scalars.json'
    log.write_text('{"loss": 1.0}\n')
    commit = git(root, 'rev-parse', '--short', 'HEAD')
    more = {'test_evaluator.protocols': ['G50', 'all']}
    (path,) = run(root, saved, more, commit, log)
    found = load_index(root).find('x')
    options = found.metadata.pop('Test Options').split()
    assert options[0] == f'work_dir={root.parent / "work"}'
    assert options[2:] == ['test_evaluator.protocols=[G50,all]']
    assert found.metadata == {
        **TERMS,
        'Commit': commit,
        'Seed': 5,
        'Epochs': 2,
        'Iterations': 12,
        'Training Resources': '1 core',
        'Training Time (hours)': 0.5,
    }
    assert found.results == {'drawn': {'AP': 50.0}, 'drawn, G10': {'mAP': 25}}
    assert found.weights.path == f'weights/{path.name}'
    assert path.name == f'x-{found.weights.sha256[:8]}.safetensors'
    assert found.log == 'weights/x.log.json'
    assert (root / found.log).read_text() == log.read_text()
    assert written(root) == sorted([path.name, 'x.log.json'])
    metafile = (root / 'configs/oim/metafile.yml').read_text()
    assert metafile == dumps(yaml.safe_load(metafile))
    assert load_index(root).find('other').metadata == {}


def test_the_header_says_it_too(root, saved, tested):
    (path,) = run(root, saved)
    meta = load_checkpoint_file(path)['meta']
    assert json.loads(meta['metrics']) == results_of(FIGURES, 'drawn')
    assert json.loads(meta['identity_names']) == NAMES
    cfg = Config.fromfile(root / 'configs/oim/x.py').model
    del cfg['distiller']
    assert json.loads(meta['config_text']) == json.loads(json.dumps(cfg))
    commit = git(root, 'rev-parse', '--short', 'HEAD')
    assert (meta['name'], meta['commit']) == ('x', commit)
    assert {key: meta[key] for key in TERMS} == TERMS


def test_a_published_table_is_the_checkpoints(root, saved, tested):
    weights, table = run(root, saved, table=True)
    assert written(root) == sorted([weights.name, table.name])
    record = load_index(root).find('x').table
    assert table == root / record.path
    assert table.name == f'x_lut-{record.sha256[:8]}.pth'
    assert load_checkpoint_file(table)['table'].dtype == torch.float16
    found = read_table('zoo://x')
    assert found.names == tuple(NAMES)
    rows = saved['state_dict'][f'{LOSS}table']
    torch.testing.assert_close(found.rows, rows, rtol=0, atol=1e-3)


def test_a_table_can_be_published_alone(root, saved, tested):
    (path,) = run(root, saved, weights=False, table=True)
    assert written(root) == [path.name]
    found = load_index(root).find('x')
    assert found.weights is None
    assert found.table.path == f'weights/{path.name}'
    assert found.results == {}
    assert found.metadata['Seed'] == 5
    assert tested == []


def test_the_same_checkpoint_gives_the_same_files(root, saved, tested):
    first, second = (run(root, saved, table=True) for _ in range(2))
    assert first == second


def test_a_network_without_names_has_none(root, saved, tested):
    saved['state_dict'][f'{LOSS}_extra_state'] = torch.zeros(0).byte()
    (path,) = run(root, saved)
    meta = load_checkpoint_file(path)['meta']
    assert json.loads(meta['identity_names']) is None


def refuse(root, saved, match, error=CheckpointError, **options):
    """See that nothing is written."""
    metafile = root / 'configs/oim/metafile.yml'
    before = metafile.read_text()
    with pytest.raises(error, match=match) as caught:
        run(root, saved, **options)
    assert written(root) == []
    assert metafile.read_text() == before
    return str(caught.value)


def test_a_value_too_large_for_float16_is_refused(root, saved, tested):
    key = 'backbone.bn1.running_var'
    saved['state_dict'][key][0] = 1e5
    refuse(root, saved, f'{key}: is not finite in .*Publish float32')
    assert len(run(root, saved, half=False)) == 1


@pytest.mark.parametrize('missing', [['Data Terms'], list(TERMS)])
def test_an_entry_without_terms_is_refused(missing, root, saved, tested):
    kept = {k: v for k, v in TERMS.items() if k not in missing}
    write_zoo(root, entry('x', Metadata=kept))
    text = refuse(root, saved, 'Fill it in first', InputError)
    assert text.startswith(str(root / 'configs/oim/metafile.yml'))
    assert f'x has no {", ".join(missing)} in its Metadata' in text


def test_a_config_without_an_entry_is_refused(root, saved, tested):
    write_zoo(root, entry('y', Metadata=TERMS))
    text = refuse(root, saved, 'no metafile of the zoo', InputError)
    assert text.startswith(str(root / 'configs/oim/x.py'))
    assert 'Add one to the metafile.yml beside the config' in text


def test_the_entry_of_another_config_is_not_written_to(root, saved, tested):
    other = root / 'configs/kd/x.py'
    put(root, 'configs/kd/x.py', (root / 'configs/oim/x.py').read_bytes())
    torch.save(saved, root.parent / 'epoch_2.pth')
    with pytest.raises(InputError, match=f'{other}: the entry x is of .*oim'):
        publish(
            *(str(other), str(root.parent / 'epoch_2.pth')),
            *(root / 'weights', Training('HEAD', **TRAINING)),
            **dict(half=True, weights=True, table=False),
        )
    assert written(root) == []


@pytest.mark.parametrize('table', [False, True])
def test_a_checkpoint_of_another_network_is_refused(
    table, root, saved, tested
):
    del saved['state_dict']['rpn_head.rpn_cls.weight']
    saved['state_dict']['neck.weight'] = torch.ones(1)
    text = refuse(root, saved, 'does not fit', table=table)
    assert text.startswith(f'{root.parent / "epoch_2.pth"}: ')
    assert 'missing     rpn_head.rpn_cls.weight' in text
    assert 'unexpected  neck.weight' in text
    assert tested == []


def test_a_checkpoint_that_does_not_know_its_seed_is_refused(
    root, saved, tested
):
    del saved['meta']['seed'], saved['meta']['iter']
    refuse(root, saved, r'its meta has no seed, iter\. Publish a checkpoint')
    del saved['meta']
    refuse(root, saved, 'no seed, epoch, iter')


def test_a_table_that_says_nothing_is_refused_with_its_weights(
    root, saved, tested
):
    state = saved['state_dict']
    state[f'{LOSS}table'][7] = 0
    refuse(root, saved, '1 of 80 rows .* é7', table=True)
    state[f'{LOSS}table'][7] = 1
    state[f'{LOSS}_extra_state'] = torch.zeros(0).byte()
    refuse(root, saved, 'no identity names', table=True)


def test_a_log_that_is_not_there_is_refused(root, saved, tested):
    missing = root / 'no.json'
    refuse(root, saved, r'no\.json', FileNotFoundError, log=missing)


@pytest.mark.parametrize('commit', ['1a2b3c4', 'HEAD+', '', 'HEAD^{tree}'])
def test_an_unknown_commit_is_refused(commit, root, saved, tested):
    refuse(root, saved, 'has no such commit', InputError, commit=commit)
    assert tested == []


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        (
            'model.roi_head.oim_head.loss_oim.momentum',
            0.25,
            'model.roi_head.oim_head.loss_oim.momentum: checkpoint 0.25, ',
        ),
        (
            'train_dataloader.dataset.data_root',
            'data/others',
            "dataset.data_root: checkpoint 'others', config 'scenes'",
        ),
    ],
)
def test_weights_of_another_training_are_refused(
    key, value, message, root, saved, tested
):
    cfg = Config.fromfile(root / 'configs/oim/x.py')
    cfg.merge_from_dict({key: value})
    saved['meta']['cfg'] = cfg.pretty_text
    found = refuse(root, saved, 'was trained with another config')
    assert message in found
    assert tested == []


def test_weights_of_other_people_are_refused(root, saved, tested):
    meta = saved['meta']
    names = [f'{name}x' for name in meta['dataset_meta']['identity_names']]
    meta['dataset_meta'] = dict(meta['dataset_meta'], identity_names=names)
    refuse(root, saved, 'other data: its identity_names are not those')
    assert tested == []


def test_how_it_was_tested_may_differ(root, saved, tested):
    cfg = Config.fromfile(root / 'configs/oim/x.py')
    cfg.model.test_cfg.rcnn.score_thr = 0.25
    cfg.model.distiller.teacher = 'elsewhere.py'
    cfg.work_dir = 'elsewhere'
    saved['meta']['cfg'] = cfg.pretty_text
    assert len(run(root, saved)) == 1


def test_a_config_in_a_checkpoint_is_not_executed(root, saved, tested):
    saved['meta']['cfg'] += f'\nx = open({str(root / "made")!r}, "w")\n'
    refuse(root, saved, 'the config in its meta cannot be read')
    assert not (root / 'made').exists()


@pytest.mark.parametrize(
    ('figures', 'message'),
    [
        ({'det/AP': 0.5, 'G10/mAP': 0.0}, 'G10/mAP of the test is 0'),
        ({'det/AP': 0.0, 'G10/mAP': 0.5}, 'det/AP of the test is 0'),
        ({'det/AP': 0.5}, 'has searched for nobody'),
    ],
)
def test_a_network_that_finds_nothing_is_refused(
    figures, message, root, saved, monkeypatch
):
    monkeypatch.setattr(publishing, 'run_test', lambda *_, **__: figures)
    refuse(root, saved, message)


@pytest.mark.parametrize(
    ('options', 'kinds'),
    [
        ([], ['.safetensors']),
        (['--table'], ['.safetensors', '.pth']),
        (['--table-only'], ['.pth']),
    ],
)
def test_the_command_prints_what_it_has_written(
    options, kinds, root, saved, tested, command
):
    path = root.parent / 'epoch_2.pth'
    torch.save(saved, path)
    code, out, err = command(
        *('publish', root / 'configs/oim/x.py', path),
        *('--half', '--commit', 'HEAD', '--resources', '1 core'),
        *('--hours', '0.5', '--out', root / 'weights', *options),
    )
    assert code == 0, err
    paths = [Path(line) for line in out.splitlines()]
    assert [p.suffix for p in paths] == kinds
    assert sorted(p.name for p in paths) == written(root)
    hours = load_index(root).find('x').metadata['Training Time (hours)']
    assert hours == 0.5


def test_a_folder_outside_a_checkout_is_refused(tmp_path):
    config = ROOT / 'configs/oim/oim_r18_tiny.py'
    training = Training('HEAD', 'one core', 0.1, None)
    with pytest.raises(InputError, match=r'weights: .* no checkout .*--out'):
        publish(
            str(config),
            'none.pth',
            tmp_path / 'weights',
            training,
            half=False,
            weights=True,
            table=False,
        )
