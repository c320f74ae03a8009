import pytest
from mmdet.models.backbones import ResNet
from torch import nn

from mmps.checkpoints.resnet_depth import depths_differ, depths_of
from mmps.models import ResConv5

STAGES = dict(
    num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,)
)


def resnet(depth, **options):
    return ResNet(depth=depth, base_channels=4, **options)


@pytest.mark.parametrize('depth', [18, 34, 50, 101, 152])
@pytest.mark.parametrize('stages', [STAGES, {}])
def test_the_depth_of_a_network_is_told_by_its_keys(depth, stages):
    net = resnet(depth, **stages)
    assert depths_of(net.state_dict()) == {'': (depth,)}
    model = nn.ModuleDict({'student': nn.ModuleDict({'backbone': net})})
    assert depths_of(model.state_dict()) == {'student.backbone': (depth,)}


@pytest.mark.parametrize(
    ('depth', 'depths'), [(18, (18,)), (50, (50, 101, 152))]
)
def test_the_last_stage_alone_may_leave_several(depth, depths):
    head = nn.ModuleDict({'shared_head': ResConv5(depth=depth)})
    assert depths_of(head.state_dict()) == {'shared_head': depths}


@pytest.mark.parametrize(
    'keys',
    [
        [],
        ['fc.weight'],
        ['layer1.0.fc.weight'],
        ['layer1.0.conv1.weight'],  # a ResNet has two such blocks at least
        ['player1.0.conv1.weight', 'player1.1.conv1.weight'],
    ],
)
def test_something_else_has_no_depth(keys):
    assert depths_of(keys) == {}


def test_what_differs_is_said_for_every_module():
    def keys(backbone, head):
        return nn.ModuleDict(
            {'backbone': resnet(backbone, **STAGES), 'head': head}
        ).state_dict()

    small, large = ResConv5(depth=18), ResConv5(depth=50)
    assert depths_differ(keys(18, small), keys(18, small)) == ''
    assert depths_differ(keys(18, small), {'fc.weight': 0}) == ''
    assert depths_differ(keys(50, large), keys(101, large)) == (
        'backbone is a ResNet-50 in the model and a ResNet-101 in the '
        'checkpoint'
    )
    assert depths_differ(keys(18, small), keys(50, large)) == (
        'backbone is a ResNet-18 in the model and a ResNet-50 in the '
        'checkpoint; head is a ResNet-18 in the model and a '
        'ResNet-50/101/152 in the checkpoint'
    )
    whole = depths_differ(resnet(34).state_dict(), resnet(50).state_dict())
    assert whole.startswith('it is a ResNet-34 in the model and a ResNet-50')
