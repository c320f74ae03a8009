import hashlib
import json

import pytest
import torch

from mmps.checkpoints import CheckpointError, load_checkpoint_file
from mmps.zoo.publish import released_state, write_hashed, write_weights

STATE = {
    'backbone.weight': torch.tensor([0.1, -2.5]),
    'backbone.num_batches_tracked': torch.tensor(7),
    'distiller.loss.weight': torch.ones(2),
    'head.loss_oim.table': torch.ones(2, 2),
    'head.loss_oim.queue_head': torch.tensor(1),
    'head.loss_oim_scale': torch.tensor(3.0, dtype=torch.float64),
}
KEPT = ['backbone.weight', 'backbone.num_batches_tracked']


def test_teacher_and_what_only_training_needs_are_left_out():
    kept = released_state(STATE, ('head.loss_oim.',), half=False)
    # not a prefix of names, but of modules
    assert list(kept) == [*KEPT, 'head.loss_oim_scale']
    assert list(released_state(STATE, ('head.',), half=False)) == KEPT
    everything = released_state(STATE, (), half=False)
    assert set(STATE) - set(everything) == {'distiller.loss.weight'}


def test_keys_lose_the_name_of_a_wrapper():
    wrapped = {f'module.{key}': value for key, value in STATE.items()}
    kept = released_state(wrapped, ('head.',), half=False)
    assert list(kept) == KEPT


@pytest.mark.parametrize('half', [False, True])
def test_floats_alone_change_their_type(half):
    kept = released_state(STATE, (), half)
    floats = torch.float16 if half else torch.float32
    assert kept['backbone.weight'].dtype == floats
    assert kept['head.loss_oim_scale'].dtype == floats
    steps = kept['backbone.num_batches_tracked']
    assert (steps.dtype, int(steps)) == (torch.int64, 7)
    torch.testing.assert_close(
        kept['backbone.weight'].float(),
        STATE['backbone.weight'],
        rtol=2**-11 if half else 0,
        atol=0,
    )
    assert STATE['backbone.weight'].dtype == torch.float32


@pytest.mark.parametrize('value', [65504.0, 65520.0, -1e6])
def test_what_is_too_large_for_float16_is_refused(value):
    state = {'a.var': torch.ones(3), 'b.var': torch.tensor([1.0, value])}
    if value == 65504:  # the largest one
        assert float(released_state(state, (), True)['b.var'][1]) == value
        return
    with pytest.raises(CheckpointError, match=r'b\.var: is not finite'):
        released_state(state, (), half=True)
    released_state(state, (), half=False)


def test_what_is_not_finite_is_refused_in_any_precision():
    state = {'a.var': torch.tensor([1.0, torch.nan])}
    with pytest.raises(CheckpointError, match=r'finite in torch\.float32'):
        released_state(state, (), half=False)


def test_views_are_written_as_they_are_seen(tmp_path):
    whole = torch.arange(12.0).reshape(3, 4)
    state = released_state({'a': whole.t(), 'b': whole[:, 1]}, (), False)
    file = write_weights(state, {}, tmp_path / 'weights', 'x')
    loaded = load_checkpoint_file(tmp_path / file.path)['state_dict']
    assert torch.equal(loaded['a'], whole.t())
    assert loaded['b'].tolist() == [1, 5, 9]


def test_the_name_carries_the_hash(tmp_path):
    folder = tmp_path / 'weights'
    metadata = {'name': 'x', 'metrics': json.dumps({'é': [1.5, None]})}
    state = released_state(STATE, (), half=True)
    file = write_weights(state, metadata, folder, 'x')
    content = (tmp_path / file.path).read_bytes()
    assert file.sha256 == hashlib.sha256(content).hexdigest()
    assert file.size == len(content)
    assert file.path == f'weights/x-{file.sha256[:8]}.safetensors'
    loaded = load_checkpoint_file(tmp_path / file.path)
    assert loaded['meta'] == metadata
    assert loaded['state_dict'].keys() == state.keys()
    for key, value in state.items():
        assert loaded['state_dict'][key].dtype == value.dtype
        assert torch.equal(loaded['state_dict'][key], value)


def test_the_same_network_gives_the_same_file(tmp_path):
    state = released_state(STATE, (), half=False)
    items = [(f'key{i}', str(i)) for i in range(8)]
    files = {
        write_weights(state, dict(order), tmp_path, 'x')
        for order in (items, items[::-1])
        for _ in range(4)
    }
    assert len(files) == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize('length', range(8))
def test_tensors_start_at_a_multiple_of_eight_bytes(length, tmp_path):
    file = write_weights(STATE, {'x': 'a' * length}, tmp_path / 'w', 'x')
    content = (tmp_path / file.path).read_bytes()
    assert int.from_bytes(content[:8], 'little') % 8 == 0
    loaded = load_checkpoint_file(tmp_path / file.path)
    assert loaded['meta'] == {'x': 'a' * length}
    for key, value in STATE.items():
        assert torch.equal(loaded['state_dict'][key], value), key


def test_any_file_may_carry_its_hash(tmp_path):
    file = write_hashed(b'abc', tmp_path / 'w', 'x_lut', '.pth')
    assert file.path == 'w/x_lut-ba7816bf.pth'  # FIPS 180-2, appendix B.1
    assert (tmp_path / file.path).read_bytes() == b'abc'
