import pytest
import torch
from mmdet.registry import MODELS
from mmengine.runner import CheckpointLoader

from mmps.checkpoints import CheckpointError
from mmps.zoo import weights_file
from mmps.zoo.index import forget_indexes
from mmps.zoo.publish import released_state, write_weights
from tests.checkpoints.server import serve
from tests.distillation.networks import network, network_config

from .small import entry, flipped, make_default, put, write_zoo

load = CheckpointLoader.load_checkpoint


@pytest.fixture
def model():
    return network(network_config(), seed=3)


@pytest.fixture
def index(tmp_path, model, monkeypatch):
    """A zoo with a network and one that is not released."""
    root = tmp_path / 'zoo'
    state = released_state(model.state_dict(), (), half=False)
    file = write_weights(state, {'name': 'x'}, root / 'weights', 'x')
    make_default(monkeypatch, root)
    keys = dict(Weights=file.path, SHA256=file.sha256, Size=file.size)
    return write_zoo(root, entry('x', **keys), entry('y_synth'))


def test_weights_are_loaded_by_mmengine(index, model):
    checkpoint = load('zoo://x', map_location='cpu')
    assert checkpoint['meta'] == {'name': 'x'}
    state = checkpoint['state_dict']
    assert state.keys() == model.state_dict().keys()
    for key, value in model.state_dict().items():
        assert torch.equal(state[key], value), key


def test_they_come_from_a_mirror(index, monkeypatch):
    path = index.find('x').weights.path
    content = (index.root / path).read_bytes()
    (index.root / path).unlink()
    with serve({path: content}, cuts=[10_000]) as server:
        monkeypatch.setenv('MMPS_ZOO_URL', server.url)
        assert 'state_dict' in load('zoo://x')
    assert [asked for _, asked in server.requests] == [None, 'bytes=10000-']


def test_damaged_weights_are_not_loaded(index):
    path = index.find('x').weights.path
    put(index.root, path, flipped((index.root / path).read_bytes()))
    with pytest.raises(CheckpointError, match='no mirror has it'):
        load('zoo://x')


def test_one_part_of_a_network_starts_from_them(index, model):
    cfg = network_config().backbone
    cfg.init_cfg = dict(
        type='Pretrained', checkpoint='zoo://x', prefix='backbone.'
    )
    part = MODELS.build(cfg)
    part.init_weights()
    expected = model.backbone.state_dict()
    assert part.state_dict().keys() == expected.keys()
    for key, value in part.state_dict().items():
        assert torch.equal(value, expected[key]), key


def test_half_precision_becomes_single_where_it_is_loaded(index, model):
    state = released_state(model.state_dict(), (), half=True)
    file = write_weights(state, {}, index.root / 'weights', 'x')
    keys = dict(Weights=file.path, SHA256=file.sha256, Size=file.size)
    forget_indexes()
    write_zoo(index.root, entry('x', **keys))
    cfg = network_config().backbone
    cfg.init_cfg = dict(
        type='Pretrained', checkpoint='zoo://x', prefix='backbone.'
    )
    part = MODELS.build(cfg)
    part.init_weights()
    expected = model.backbone.layer1[0].conv1.weight.half().float()
    found = part.layer1[0].conv1.weight
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ('address', 'match'),
    [
        ('zoo://xx', 'not one of the 2 names of the zoo'),
        (
            'zoo://y_synth',
            r'not released\. Train it: mmps train y_synth --amp',
        ),
    ],
)
def test_what_is_not_there_is_named(address, match, index):
    with pytest.raises(CheckpointError, match=match) as caught:
        load(address)
    assert caught.value.file == address


def test_the_file_can_be_loaded_by_its_path_too(index):
    path = weights_file('x', index)
    assert load(str(path))['state_dict'].keys() == (
        load('zoo://x')['state_dict'].keys()
    )
