from pathlib import Path

import pytest

from mmps.checkpoints import CheckpointError
from mmps.zoo import ZooError, load_index
from mmps.zoo import index as index_module
from mmps.zoo.index import find_root, forget_indexes

from .small import entry, keys_of, write_zoo

SHA256 = 'ab' * 32
FULL = entry(
    'oim_r18',
    Metadata={'Epochs': 20, 'Training Data': 'CUHK-SYSU'},
    **{
        'Paper Results': [
            {'Dataset': 'CUHK-SYSU, G100', 'Metrics': {'mAP': 69.1}},
            {'Dataset': 'CUHK-SYSU', 'Metrics': {'AP': 74.2}},
            {'Dataset': 'CUHK-SYSU', 'Metrics': {'recall': 81.6}},
        ],
        'Results': [{'Dataset': 'CUHK-SYSU', 'Metrics': {'AP': 70.0}}],
        'Weights': 'weights/x.safetensors',
        'SHA256': SHA256,
        'Size': 7,
        'Table': {'File': 'weights/t.pth', 'SHA256': SHA256, 'Size': 9},
        'Log': 'weights/x.log.json',
    },
)


def test_an_entry_is_read(tmp_path):
    found = write_zoo(tmp_path, FULL).find('oim_r18')
    assert (found.name, found.collection) == ('oim_r18', 'OIM')
    assert found.config == 'configs/oim/oim_r18.py'
    assert found.metadata == {'Epochs': 20, 'Training Data': 'CUHK-SYSU'}
    assert found.paper == {
        'CUHK-SYSU, G100': {'mAP': 69.1},
        'CUHK-SYSU': {'AP': 74.2, 'recall': 81.6},
    }
    assert found.results == {'CUHK-SYSU': {'AP': 70.0}}
    assert found.weights.path == 'weights/x.safetensors'
    assert (found.weights.sha256, found.weights.size) == (SHA256, 7)
    assert (found.table.path, found.table.size) == ('weights/t.pth', 9)
    assert found.log == 'weights/x.log.json'


def test_what_is_not_there_is_empty(tmp_path):
    found = write_zoo(tmp_path, entry('oim_r18')).find('oim_r18')
    assert found.weights is found.table is None
    assert found.metadata == found.paper == found.results == {}
    assert found.log == ''


def test_the_order_is_that_of_the_metafiles(tmp_path):
    index = write_zoo(tmp_path, entry('b'), entry('a'), entry('c'))
    assert list(index.entries) == ['b', 'a', 'c']
    assert index.root == tmp_path


def test_an_address_finds_as_its_name_does(tmp_path):
    index = write_zoo(tmp_path, FULL)
    assert index.find('zoo://oim_r18') is index.find('oim_r18')


@pytest.mark.parametrize(
    ('name', 'hint'),
    [
        ('oim_r8', 'Did you mean oim_r18'),
        ('zoo://oim_r18_w0.3', 'Did you mean oim_r18_w0.6 or oim_r18? '),
        ('yolo', ''),
    ],
)
def test_an_unknown_name_suggests_near_ones(name, hint, tmp_path):
    index = write_zoo(tmp_path, FULL, entry('oim_r18_w0.6'))
    with pytest.raises(CheckpointError) as caught:
        index.find(name)
    message = str(caught.value)
    address = f'zoo://{name.removeprefix("zoo://")}'
    assert message.startswith(f'{address}: not one of the 2 names of the zoo')
    assert hint in message
    assert ('Did you mean' in message) == bool(hint)
    assert 'mmps zoo list' in message


@pytest.mark.parametrize(
    ('name', 'command'),
    [
        ('oim_r18', 'mmps train oim_r18'),
        ('oim_r18_prw', 'mmps train oim_r18_prw'),
        ('x_synth', 'mmps train x_synth --amp'),
        (
            'x_crowded_3x',
            'mmps train x_crowded_3x --amp',
        ),
        ('x_tiny', 'mmps train x_tiny --amp'),
    ],
)
def test_how_it_is_trained(name, command, tmp_path):
    index = write_zoo(tmp_path, entry(name))
    assert index.find(name).train_command == command


def test_the_metafiles_are_read_once_until_forgotten(tmp_path):
    index = write_zoo(tmp_path, FULL)
    path = tmp_path / 'configs/oim/metafile.yml'
    path.write_text(path.read_text().replace('oim_r18', 'other'))
    assert load_index(tmp_path) is index
    forget_indexes()
    assert list(load_index(tmp_path).entries) == ['other']


def changed(**keys):
    """The full entry, some keys of it changed, those of None left out."""
    model = {**FULL, **keys}
    return {key: value for key, value in model.items() if value is not None}


@pytest.mark.parametrize(
    ('models', 'message'),
    [
        ([FULL, FULL], 'oim_r18 is listed twice'),
        (['oim_r18'], "Models: 'oim_r18' is not a mapping"),
        ([changed(Name=None)], r'entry \?: Name is missing'),
        ([changed(Name=18)], 'entry 18: Name is missing'),
        ([changed(Config=None)], 'entry oim_r18: Config is missing'),
        ([changed(Metadata=[1])], r'Metadata is \[1\], not a dict'),
        ([changed(Log=7)], 'oim_r18: Log is 7, not a str'),
        ([changed(Table='t.pth')], "Table is 't.pth', not a dict"),
        ([changed(Results={})], 'Results is {}, not a list'),
        (
            [changed(Metadata={'Match Threshold': 'high'})],
            "oim_r18: Match Threshold is 'high', no similarity",
        ),
        (
            [changed(Metadata={'Match Threshold': float('nan')})],
            'Match Threshold is nan, no similarity',
        ),
        (
            [changed(Results=[{'Dataset': 'x', 'Metrics': {'AP': 'good'}}])],
            "oim_r18: Results: AP is 'good', no figure",
        ),
        ([changed(Results=['AP'])], 'Results needs Dataset, a name'),
        ([changed(Results=[{'Dataset': 'x'}])], 'Results needs Dataset'),
        (
            [changed(Results=[{'Dataset': 'x', 'Metrics': 3}])],
            'and Metrics, a mapping',
        ),
        (
            [changed(**{'Paper Results': [{'Metrics': {}}]})],
            'oim_r18: Paper Results needs Dataset',
        ),
        ([changed(SHA256=None)], 'oim_r18: SHA256 needs 64 hex digits'),
        ([changed(SHA256='ab' * 16)], 'SHA256 needs 64 hex digits'),
        ([changed(SHA256='AB' * 32)], 'SHA256 needs 64 hex digits'),
        ([changed(SHA256='ab' * 33)], 'SHA256 needs 64 hex digits'),
        ([changed(Size=None)], 'Size needs a number of bytes'),
        ([changed(Size=0)], 'Size needs a number of bytes'),
        ([changed(Size=True)], 'Size needs a number of bytes'),
        ([changed(Weights='/x.pth')], 'Weights is not a relative path'),
        ([changed(Weights='a/../../x')], 'Weights is not a relative path'),
        (
            [changed(Table={'File': 'x.pth', 'Size': 3})],
            'oim_r18: Table: SHA256 needs 64 hex digits',
        ),
    ],
)
def test_a_wrong_key_is_named_with_its_file_and_entry(
    models, message, tmp_path
):
    with pytest.raises(ZooError, match=message) as caught:
        write_zoo(tmp_path, *models)
    assert caught.value.file == str(tmp_path / 'configs/oim/metafile.yml')


@pytest.mark.parametrize(
    'name', ['model-index.yml', 'configs/oim/metafile.yml']
)
@pytest.mark.parametrize(
    ('text', 'message'),
    [
        (None, 'cannot be read: .*No such file'),
        ('a: [', 'cannot be read'),
        ('- a', 'is not a mapping'),
        ('', 'is not a mapping'),
        ('Import:\nModels:', r'(Import|Models) is None, not a list'),
    ],
)
def test_a_file_that_is_no_metafile_is_named(name, text, message, tmp_path):
    write_zoo(tmp_path, FULL)
    path = tmp_path / name
    path.unlink()
    if text is not None:
        path.write_text(text)
    forget_indexes()
    with pytest.raises(ZooError, match=message) as caught:
        load_index(tmp_path)
    assert caught.value.file == str(path)


def test_the_index_is_the_repositorys_or_else_the_packages(
    tmp_path, monkeypatch
):
    package = tmp_path / 'mmps'
    file = package / 'zoo' / 'index.py'
    monkeypatch.setattr(index_module, '__file__', str(file))
    with pytest.raises(ZooError, match='installed without its zoo'):
        find_root()
    write_zoo(package / '.mim', FULL)
    assert find_root() == package / '.mim'
    write_zoo(tmp_path, entry('newer'))
    assert find_root() == tmp_path
    assert list(load_index().entries) == ['newer']


def test_this_clone_has_an_index():
    assert load_index().root == Path(__file__).parents[2]


def test_keys_of_a_file_are_read_back(tmp_path):
    keys = keys_of('weights/x.pth', b'abc')
    file = write_zoo(tmp_path, entry('x', **keys)).find('x').weights
    # sha256 of b'abc', FIPS 180-2, appendix B.1
    assert file.sha256.startswith('ba7816bf8f01cfea414140de5dae2223')
    assert file.size == 3


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'Import:\n- \xff\xfe', "cannot be read: 'utf-8' codec"),
        (b'Import: ' + b'[' * 5000, 'is nested too deep'),
        (b'Import:\n- 3\n', 'Import: 3 is not the path of a file'),
        (b'Import:\n- [a]\n', 'is not the path of a file'),
        (
            b'Import:\n- /etc/passwd\n',
            "Import: '/etc/passwd' is not the path of a file below",
        ),
        (b'Import:\n- a/../../b\n', "a/../../b' is not the path of a file"),
        (b'Import:\n- "a\\0b"\n', 'cannot be read: embedded null byte'),
    ],
)
def test_an_index_of_other_bytes_is_refused(content, message, tmp_path):
    (tmp_path / 'model-index.yml').write_bytes(content)
    with pytest.raises(ZooError, match=message):
        load_index(tmp_path)


def test_aliases_of_aliases_are_refused(tmp_path):
    """Nine of nine of nine ...: 10 lines that stand for gigabytes."""
    lines = ['a0: &a0 [x]']
    for number in range(1, 10):
        old = ', '.join([f'*a{number - 1}'] * 9)
        lines.append(f'a{number}: &a{number} [{old}]')
    path = tmp_path / 'model-index.yml'
    path.write_text('\n'.join([*lines, 'Import: [*a9]']))
    with pytest.raises(ZooError, match=r'(?s)model-index\.yml: .*an alias'):
        load_index(tmp_path)
