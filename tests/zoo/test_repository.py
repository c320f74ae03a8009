"""The zoo of this repository, taken at its word."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml
from mmdet.registry import MODELS
from mmengine.config import Config

from mmps.checkpoints import check_state_dict, load_checkpoint_file
from mmps.distillation import read_table
from mmps.zoo import load_index
from mmps.zoo.metafile import dumps
from mmps.zoo.tables import fill, pages

ROOT = Path(__file__).parents[2]
CONFIGS = [
    p.relative_to(ROOT)
    for p in sorted((ROOT / 'configs').rglob('*.py'))
    if '_base_' not in p.parts
]
METAFILES = sorted((ROOT / 'configs').glob('*/metafile.yml'))
ENTRIES = list(load_index(ROOT).entries.values())
#: Entries of released files.
WEIGHTS = [entry for entry in ENTRIES if entry.weights is not None]
TABLES = [entry for entry in ENTRIES if entry.table is not None]
FILES = [e.weights for e in WEIGHTS] + [e.table for e in TABLES]
#: Larger files go to a mirror (docs/model_zoo.md).
LARGEST_ZOO = 60e6


def released(entries):
    return pytest.mark.parametrize('entry', entries, ids=lambda e: e.name)


def raw(entry):
    """An entry as its metafile has it."""
    path = ROOT / Path(entry.config).parent / 'metafile.yml'
    models = yaml.safe_load(path.read_text())['Models']
    (model,) = (m for m in models if m['Name'] == entry.name)
    return model


def test_every_config_has_one_entry():
    counts = Counter(entry.config for entry in ENTRIES)
    assert counts == Counter(map(str, CONFIGS))


def test_an_entry_has_the_name_and_the_folder_of_its_config():
    for entry in ENTRIES:
        path = Path(entry.config)
        assert entry.name == path.stem
        assert entry.collection == path.parent.name.upper()


def test_every_metafile_is_in_the_index():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    found = [str(path.relative_to(ROOT)) for path in METAFILES]
    assert sorted(index['Import']) == found


@pytest.mark.parametrize('path', METAFILES, ids=lambda p: p.parent.name)
def test_a_metafile_is_written_in_the_one_way(path):
    content = yaml.safe_load(path.read_text())
    assert path.read_text() == dumps(content)
    (collection,) = content['Collections']
    assert collection['README'] == f'configs/{path.parent.name}/README.md'
    assert (ROOT / collection['README']).is_file()
    assert collection['Paper'].keys() == {'URL', 'Title'}


def test_every_entry_tells_the_terms_of_its_data():
    for entry in ENTRIES:
        for key in (
            *('Training Data', 'Data Terms', 'Weights License'),
            *('Intended Use', 'Backbone', 'Epochs'),
        ):
            assert entry.metadata.get(key), (entry.name, key)


def test_figures_are_of_the_data_of_the_training():
    for entry in ENTRIES:
        data = entry.metadata['Training Data']
        for dataset, metrics in {**entry.paper, **entry.results}.items():
            assert dataset.partition(', ')[0] == data
            assert metrics
            for value in metrics.values():
                assert 0 <= value <= 100
                assert value == round(value, 1)


def test_what_is_released_tells_how_it_came_about():
    assert WEIGHTS
    assert TABLES
    for entry in {e.name: e for e in (*WEIGHTS, *TABLES)}.values():
        for key in ('Commit', 'Seed', 'Iterations', 'Training Resources'):
            assert entry.metadata.get(key) is not None, (entry.name, key)
    for entry in WEIGHTS:
        assert entry.results
        assert entry.log


@pytest.mark.parametrize('file', FILES, ids=lambda f: f.path)
def test_a_released_file_is_what_its_entry_says(file):
    content = (ROOT / file.path).read_bytes()
    assert len(content) == file.size
    assert hashlib.sha256(content).hexdigest() == file.sha256
    assert Path(file.path).stem.endswith(f'-{file.sha256[:8]}')


def test_every_file_is_of_an_entry_and_all_are_small():
    folder = ROOT / 'weights'
    found = {str(p.relative_to(ROOT)): p for p in folder.rglob('*')}
    logs = {entry.log for entry in ENTRIES} - {''}
    assert set(found) == {file.path for file in FILES} | logs
    assert sum(p.stat().st_size for p in found.values()) < LARGEST_ZOO


@released(WEIGHTS)
def test_published_weights_fit_their_config(entry):
    loaded = load_checkpoint_file(ROOT / entry.weights.path)
    cfg = Config.fromfile(ROOT / entry.config, import_custom_modules=False)
    cfg.model.pop('distiller', None)
    model = MODELS.build(cfg.model)
    report = check_state_dict(model, loaded['state_dict'], entry.name)
    assert report.missing == report.unexpected == report.differing == ()
    # all of it but table, queue and names of OIM
    assert len(report.matched) == len(loaded['state_dict'])
    for key in report.left_out:
        assert '.loss_oim.' in key
    model.load_state_dict(loaded['state_dict'], strict=False)
    weights = dict(model.named_parameters())
    assert len(weights) > 50
    for key, value in weights.items():
        assert torch.equal(value, loaded['state_dict'][key].float()), key


@released(WEIGHTS)
def test_the_header_of_published_weights_says_what_the_metafile_says(entry):
    loaded = load_checkpoint_file(ROOT / entry.weights.path)
    meta, model = loaded['meta'], raw(entry)
    assert json.loads(meta['metrics']) == model['Results']
    assert meta['name'] == entry.name
    assert meta['commit'] == model['Metadata']['Commit']
    for key in (
        *('Training Data', 'Data Terms'),
        *('Weights License', 'Intended Use'),
    ):
        assert meta[key] == model['Metadata'][key]
    cfg = Config.fromfile(ROOT / entry.config, import_custom_modules=False)
    config = json.loads(meta['config_text'])
    for part in ('backbone', 'test_cfg'):
        assert config[part] == json.loads(json.dumps(cfg.model[part]))
    assert 'distiller' not in config
    state = loaded['state_dict']
    check_state_dict(MODELS.build(Config(config)), state, entry.name)
    names = json.loads(meta['identity_names'])
    oim_head = cfg.model.roi_head.get('oim_head')
    if oim_head is None:  # a detector knows no one
        assert names is None
    else:
        assert len(set(names)) == len(names) == oim_head.loss_oim.num_ids


@released([entry for entry in ENTRIES if entry.log])
def test_a_log_is_that_of_the_whole_training(entry):
    lines = (ROOT / entry.log).read_text().splitlines()
    scalars = [json.loads(line) for line in lines]
    steps = [line for line in scalars if 'loss' in line]
    assert steps[-1]['epoch'] == entry.metadata['Epochs']
    assert steps[-1]['loss'] < steps[0]['loss']


@released(TABLES)
def test_a_published_table_has_a_row_for_every_identity(entry):
    table = read_table(f'zoo://{entry.name}')
    cfg = Config.fromfile(ROOT / entry.config, import_custom_modules=False)
    head = cfg.model.roi_head.oim_head
    size = (head.loss_oim.num_ids, head.get('feat_dim', 256))
    assert table.rows.shape == size
    assert len(table.names) == len(table.rows)
    assert table.source == f'zoo://{entry.name}'
    ones = torch.ones(len(table.rows))
    torch.testing.assert_close(table.rows.norm(dim=1), ones, rtol=0, atol=1e-3)


def test_no_table_of_a_page_is_stale():
    index = load_index(ROOT)
    for page in pages(ROOT):
        assert fill(page, index) == page.read_text(), page


def test_every_entry_is_on_the_page_of_the_zoo():
    text = (ROOT / 'docs/model_zoo.md').read_text()
    for entry in ENTRIES:
        assert text.count(f'[`{entry.name}`](../{entry.config})') == 1


def test_openmmlabs_reader_reads_it(monkeypatch):
    from modelindex.load_model_index import load

    monkeypatch.chdir(ROOT)
    index = load('model-index.yml')
    assert {model.name for model in index.models} == {e.name for e in ENTRIES}
    names = {collection.name for collection in index.collections}
    assert {model.in_collection for model in index.models} == names
    by_name = {model.name: model for model in index.models}
    for entry in WEIGHTS:
        model = by_name[entry.name]
        assert model.config == entry.config
        assert model.weights == entry.weights.path
        metrics = [result.metrics for result in model.results]
        assert metrics == list(entry.results.values())
