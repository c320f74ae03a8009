"""The tables give every tensor of our networks, in its shape."""

from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config

from mmps.published.convert import resolved_size
from mmps.published.key_maps import NETWORKS

CONFIGS = Path(__file__).parents[2] / 'configs'
#: Of the published networks.
SIZES = {'W': 64, 'D': 256, 'D4': 128, 'D5': 128}
ANCHORS = {'oimnetpp': 9, 'seqnet': 15, 'nae': 15}


def shape_of(move, sizes):
    shape = [resolved_size(size, sizes) for size in move.shape]
    return (len(move.rows), *shape[1:]) if move.rows else tuple(shape)


@pytest.mark.parametrize('dataset', ['cuhk-sysu', 'prw'])
@pytest.mark.parametrize('name', NETWORKS)
def test_our_config_has_these_tensors_and_no_others(name, dataset):
    network = NETWORKS[name]
    (path,) = CONFIGS.glob(f'*/{network.config_for(dataset)}.py')
    with torch.device('meta'):
        model = MODELS.build(Config.fromfile(path).model)
    expected = {
        key: tuple(value.shape)
        for key, value in model.state_dict().items()
        if '.loss_oim.' not in key  # which only training needs
    }
    sizes = {**SIZES, 'A': ANCHORS[name]}
    found = {move.ours: shape_of(move, sizes) for move in network.moves}
    for key, shape in network.zeros.items():
        found[key] = tuple(resolved_size(size, sizes) for size in shape)
    assert found == expected
