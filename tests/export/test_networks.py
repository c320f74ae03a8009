"""Every kind of network is exported, SeqNet in both layouts."""

import pytest
import torch

from mmps.apis import load_config
from mmps.export import differences, export_network, total
from mmps.export.check import LIMITS
from mmps.inference.network import Network
from mmps.inference.onnx_network import OnnxNetwork
from tests.distillation.networks import network
from tests.evaluation.pair_runs import configured
from tests.test_field_networks import write_config

for name in ('onnx', 'onnxruntime', 'onnxscript'):
    pytest.importorskip(name)
pytestmark = [pytest.mark.slow, pytest.mark.long]
PARTS = {'split': {'scene', 'people'}, 'single': {'single'}}


@pytest.fixture(scope='module')
def root(data):
    """As of ``write_config``, whose data set is in a folder 'data'."""
    place = data.parent / 'networks'
    place.mkdir()
    (place / 'data').symlink_to(data)
    return place


def config_of(name, root):
    if name == 'qeeps':  # without gates
        return configured(root, root / 'data', gated=False)
    return write_config(root, f'{name}/{name}_r18_synth')


@pytest.mark.parametrize(
    ('name', 'layout'),
    [
        ('seqnet', 'single'),
        *((name, 'split') for name in ('seqnet', 'nae', 'oimnetpp', 'qeeps')),
    ],
)
def test_it_finds_what_torch_finds(name, layout, root, files, tmp_path):
    config = config_of(name, root)
    weights = tmp_path / 'weights.pth'
    state = network(load_config(config).model, seed=0).state_dict()
    torch.save({'state_dict': state}, weights)
    before = Network(config, str(weights), 'cpu')
    paths = export_network(before, tmp_path / 'out', layout)
    second = {'reid'} if (name, layout) == ('seqnet', 'split') else set()
    assert {path.stem for path in paths} == PARTS[layout] | second
    after = OnnxNetwork(tmp_path / 'out')
    found = differences(
        *(before, after, [files[0], files[7]], before.det_thr),
        embed_given=layout == 'split',
    )
    assert total(found).people > 10
    assert total(found).above(LIMITS['fp32']) == []
