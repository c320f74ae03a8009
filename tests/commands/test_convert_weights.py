import hashlib

import pytest
import torch
import torch.nn.functional as F

import mmps
from mmps.checkpoints import load_checkpoint_file
from mmps.distillation import read_table
from mmps.published import NETWORKS, Published, convert_weights
from tests.datasets.layouts import TRAIN, write_cuhk
from tests.published.files import checkpoint_of, save_old, weights_of

LUT = 'roi_heads.reid_loss.lut'


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def source(tmp_path):
    """Writes a published file of a network; ``rows`` are people."""

    def write(name, dataset='cuhk-sysu', rows=None, save=torch.save):
        path = tmp_path / 'epoch_19.pth'
        save(checkpoint_of(weights_of(name, dataset, rows=rows)), path)
        return path

    return write


@pytest.fixture
def convert(tmp_path, command):
    """Runs the command; what it writes is out.safetensors."""

    def run(path, name, dataset, *more):
        return command(
            *('convert-weights', path, '--from', name, '--dataset', dataset),
            *('--out', tmp_path / 'out.safetensors', *more),
        )

    return run


@pytest.mark.parametrize('name', NETWORKS)
@pytest.mark.parametrize('dataset', ['cuhk-sysu', 'prw'])
def test_the_weights_are_read_again(name, dataset, source, convert, tmp_path):
    path = source(name, dataset)
    code, out, err = convert(path, name, dataset)
    assert (code, err) == (0, '')
    file = tmp_path / 'out.safetensors'
    checkpoint = load_checkpoint_file(file)
    weights = weights_of(name, dataset)
    published = Published(weights, path, sha256(path))
    state = convert_weights(published, NETWORKS[name]).state
    assert checkpoint['state_dict'].keys() == state.keys()
    for key, value in state.items():
        assert torch.equal(checkpoint['state_dict'][key], value)
    meta = checkpoint['meta']
    config = f'{name}_r50{"_prw" if dataset == "prw" else ""}'
    assert meta['config_name'] == config
    assert (meta['network'], meta['dataset']) == (
        NETWORKS[name].title,
        dataset,
    )
    assert meta['source'] == 'epoch_19.pth'
    assert meta['source_sha256'] == sha256(path)
    assert NETWORKS[name].licence in meta['licence']
    assert meta['mmps_version'] == mmps.__version__
    lines = out.splitlines()
    assert lines[0] == f'read     {path}, SHA-256 {sha256(path)}'
    used, dropped = (
        [int(line.split()[1]) for line in lines if line.startswith(word)]
        for word in ('used', 'dropped')
    )
    assert sum(used) + sum(dropped) == len(weights)
    assert lines[-1] == f'next     mmps test {config} {file}'


def test_the_same_source_gives_the_same_file(source, convert, tmp_path):
    contents = []
    for _ in range(2):
        assert convert(source('nae'), 'nae', 'cuhk-sysu')[0] == 0
        contents.append((tmp_path / 'out.safetensors').read_bytes())
    assert contents[0] == contents[1]


def test_the_table_has_the_people_of_the_data(source, convert, tmp_path):
    write_cuhk(tmp_path / 'data')
    path = source('oimnetpp', rows=len(TRAIN))
    table = tmp_path / 'lut.pth'
    more = ('--table', table, '--data-root', tmp_path / 'data')
    code, out, err = convert(path, 'oimnetpp', 'cuhk-sysu', *more)
    assert (code, err) == (0, '')
    assert f'wrote    {table}: 2 identities' in out.splitlines()
    found = read_table(table)
    assert found.names == tuple(TRAIN)
    lut = weights_of('oimnetpp', rows=len(TRAIN))[LUT]
    expected = F.normalize(lut.float(), dim=1)
    assert torch.allclose(found.rows, expected, atol=1e-6)
    assert sha256(path)[:16] in found.origin


def test_a_table_of_prw_says_who_has_no_row(source, convert, tmp_path):
    table = tmp_path / 'lut.pth'
    path = source('seqnet', 'prw')
    code, out, _ = convert(path, 'seqnet', 'prw', '--table', table)
    assert code == 0
    assert f'wrote    {table}: 481 identities' in out
    assert 'note     483 and 932 have no row' in out
    assert len(read_table(table).names) == 481


def test_without_a_table_its_option_is_named(source, convert):
    assert (
        '--table FILE.pth keeps this table'
        in convert(*(source('nae'), 'nae', 'cuhk-sysu'))[1]
    )


def test_an_old_file_is_read_with_its_hash(source, convert, tmp_path):
    path = source('nae', save=save_old)
    code, out, err = convert(path, 'nae', 'cuhk-sysu')
    assert (code, out) == (2, '')
    assert f'--sha256 {sha256(path)}' in err
    assert not (tmp_path / 'out.safetensors').exists()
    more = ('--sha256', sha256(path).upper())
    assert convert(path, 'nae', 'cuhk-sysu', *more)[0] == 0


@pytest.mark.parametrize(
    ('name', 'dataset', 'more', 'told'),
    [
        ('nae', 'prw', (), 'Give --dataset cuhk-sysu'),
        ('seqnet', 'cuhk-sysu', (), 'Check --from'),
        ('nae', 'cuhk-sysu', ('--table', 'x.pth'), 'data/cuhk-sysu'),
        ('nae', 'cuhk-sysu', ('--sha256', 'xyz'), '8 to 64 hexadecimal'),
        ('nae', 'cuhk-sysu', ('--out', 'a.pth'), 'ends in .safetensors'),
        (
            *('nae', 'cuhk-sysu', ('--out', 'a-12345678.safetensors')),
            'read as a SHA-256',
        ),
    ],
)
def test_nothing_is_written_after_a_mistake(
    name, dataset, more, told, source, convert, tmp_path, monkeypatch
):
    path = source('nae')
    monkeypatch.chdir(tmp_path)
    before = set(tmp_path.iterdir())
    code, out, err = convert(path, name, dataset, *more)
    assert (code, out) == (2, '')
    assert told in err
    assert set(tmp_path.iterdir()) == before
