import pytest
import torch
from torch import nn

from mmps.checkpoints import CheckpointError, fill_weights, read_weights


@pytest.mark.parametrize('prefix', ['', 'module.'])
@pytest.mark.parametrize('wrapped', [False, True])
def test_all_weights_come_over(prefix, wrapped, tmp_path):
    source = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    nn.init.normal_(source[1].running_mean)
    state = {prefix + k: v for k, v in source.state_dict().items()}
    del state[f'{prefix}1.num_batches_tracked']  # as before 2019
    path = str(tmp_path / 'weights.pth')
    torch.save({'state_dict': state} if wrapped else state, path)
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    fill_weights(model, read_weights(path), path)
    for key, value in source.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key


def test_weights_that_do_not_fit_change_nothing():
    model = nn.Linear(3, 2)
    before = model.weight.clone()
    weights = {'weight': torch.ones(2, 3), 'bias': torch.ones(3)}
    with pytest.raises(CheckpointError, match=r'x\.pth: does not fit'):
        fill_weights(model, weights, 'x.pth')
    assert torch.equal(model.weight, before)
    with pytest.raises(CheckpointError, match=r'none\.pth'):
        read_weights('none.pth')
