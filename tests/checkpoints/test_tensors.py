import warnings

import pytest
import torch

from mmps.checkpoints import CheckpointError, load_checkpoint_file
from mmps.checkpoints.tensors import check_finite, check_tensors


def quantised():
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return torch.quantize_per_tensor(torch.zeros(4), 1.0, 0, torch.quint8)


def nested():
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])


#: What no file of weights needs, and what the refusal says.
OTHERS = {
    'expanded': (lambda: torch.zeros(1).expand(10**12), 'only 4 bytes'),
    'overlapping': (
        lambda: torch.zeros(9).as_strided((5, 5), (1, 1)),
        'only 36 bytes',
    ),
    'float8': (
        lambda: torch.zeros(4).to(torch.float8_e4m3fn),
        'type torch.float8_e4m3fn',
    ),
    'quantised': (quantised, 'type torch.quint8'),
    'sparse': (lambda: torch.eye(3).to_sparse(), 'not dense'),
    'nested': (nested, 'not dense'),
    'dimensions': (lambda: torch.zeros([1] * 65), 'has 65 dimensions'),
    'meta': (lambda: torch.zeros(4, device='meta'), 'meta device'),
}


def saved(content, tmp_path):
    path = tmp_path / 'x.pth'
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        torch.save(content, path)
    return path


@pytest.mark.parametrize('kind', OTHERS)
@pytest.mark.filterwarnings('ignore')
def test_a_tensor_that_the_file_does_not_hold_is_refused(kind, tmp_path):
    make, message = OTHERS[kind]
    for place, content in {
        'a': {'a': make()},
        'state_dict.a': {'state_dict': {'a': make()}},
        'optimizer.state.0.m': {'optimizer': {'state': [{'m': make()}]}},
    }.items():
        path = saved(content, tmp_path)
        assert path.stat().st_size < 4096
        with pytest.raises(CheckpointError) as caught:
            load_checkpoint_file(path)
        assert str(caught.value).startswith(f'{path}: {place} ')
        assert message in str(caught.value)
        assert '.contiguous()' in str(caught.value)


def test_many_views_of_one_storage_are_refused(tmp_path):
    base = torch.zeros(1000)
    path = saved({f'k{i}': base[i:] for i in range(100)}, tmp_path)
    with pytest.raises(CheckpointError, match='share the same 4,000 bytes'):
        load_checkpoint_file(path)
    shared = torch.zeros(1000)
    path = saved({f'k{i}': shared for i in range(100)}, tmp_path)
    with pytest.raises(CheckpointError, match='share the same 4,000 bytes'):
        load_checkpoint_file(path)


def test_tensors_may_share_a_storage(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    content = dict(
        tied=base,
        again=base,
        rows=base[1:],
        turned=base.t(),
        empty=torch.zeros(0, 10**12),
        part=torch.arange(1000.0)[7:9],  # torch.save writes all of it
        channels_last=torch.rand(2, 3, 4, 5).to(
            memory_format=torch.channels_last
        ),
        parameter=torch.nn.Parameter(torch.ones(2)),
    )
    loaded = load_checkpoint_file(saved(content, tmp_path))
    assert loaded.keys() == content.keys()
    for key, value in content.items():
        assert torch.equal(loaded[key], value), key


def test_storages_fit_into_the_file():
    content = {'a': torch.zeros(10), 'b': [torch.zeros(15)]}
    check_tensors(content, 'a.pth', 100)
    with pytest.raises(CheckpointError, match='take 100 bytes, the file has'):
        check_tensors(content, 'a.pth', 99)


def test_containers_in_a_circle_are_walked_once(tmp_path):
    circle = [torch.ones(1)]
    circle.append(circle)
    loaded = load_checkpoint_file(saved({'circle': circle}, tmp_path))
    assert loaded['circle'][1] is loaded['circle']


class Memory:
    """Unpickles to many bytes."""

    def __reduce__(self):
        return bytearray, (10**12,)


@pytest.mark.parametrize('protocol', [0, 2])
def test_no_memory_is_made_of_a_number(protocol, tmp_path):
    path = tmp_path / 'x.pth'
    torch.save({'a': Memory()}, path, pickle_protocol=protocol)
    with pytest.raises(CheckpointError, match='bytearray is refused'):
        load_checkpoint_file(path)


@pytest.mark.parametrize('dtype', [torch.float16, torch.float64])
@pytest.mark.parametrize('place', [(0, 0), (1500, 1), (2047, 1023)])
def test_numbers_that_are_not_finite_are_found_anywhere(dtype, place):
    values = torch.zeros(2048, 1024, dtype=dtype)  # more than one block
    for tensor in (values, values.t(), values[:, ::2], values[1:]):
        check_finite({'a': tensor}, 'x')
    values[place] = float('inf')
    for tensor in (values, values.t()):
        with pytest.raises(CheckpointError, match=r'1 tensors hold NaN .*: a'):
            check_finite({'a': tensor}, 'x')
