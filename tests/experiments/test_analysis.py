"""Sizes of networks: against sums by hand and a second counter."""

import pytest
import torch
from mmengine.analysis import get_model_complexity_info
from mmengine.config import Config

from mmps.apis import load_config
from mmps.experiments.analysis import (
    Analysis,
    Count,
    analyze,
    build_network,
    count_buffers,
    count_parameters,
    table,
)

SHAPE = (96, 128)


def config(name):
    return load_config(f'configs/{name}.py')


@pytest.fixture(scope='module')
def oim():
    return analyze(config('oim/oim_r18_tiny'), SHAPE, repeats=1)


def test_parts_add_up_to_the_whole(oim):
    whole = oim.parameters['all']
    parts = [v for k, v in oim.parameters.items() if k != 'all']
    assert sum(part.total for part in parts) == whole.total
    assert sum(part.frozen for part in parts) == whole.frozen
    parts = [v for k, v in oim.macs.items() if k != 'all']
    assert sum(parts) == oim.macs['all']


def test_parameters_are_those_that_an_optimizer_would_see():
    network = build_network(config('oim/oim_r18_tiny'))
    count = count_parameters(network)
    trained = sum(p.numel() for p in network.parameters() if p.requires_grad)
    assert count['all'].trainable == trained
    network.requires_grad_(False)
    frozen = count_parameters(network)
    assert frozen['all'] == Count(0, count['all'].total)
    embed = network.roi_head.oim_head
    by_hand = sum(p.numel() for p in embed.parameters())
    assert frozen['roi_head.oim_head'].total == by_hand


def test_tables_and_queues_are_no_parameters():
    cfg = config('oim/oim_r18_tiny')
    loss = cfg.model.roi_head.oim_head.loss_oim
    dims = cfg.model.roi_head.oim_head.feat_dim
    buffers = count_buffers(build_network(cfg))
    where = 'roi_head.oim_head.loss_oim'
    assert buffers[f'{where}.table'] == loss.num_ids * dims
    assert buffers[f'{where}.queue'] == loss.queue_size * dims
    assert set(buffers) == {f'{where}.table', f'{where}.queue', 'batch norm'}


def test_macs_of_the_backbone_are_what_mmengine_counts(oim):
    network = build_network(config('oim/oim_r18_tiny'))
    outputs = get_model_complexity_info(
        network.backbone,
        inputs=(torch.zeros(1, 3, *SHAPE),),
        show_table=False,
        show_arch=False,
    )
    # it adds batch norm, 2 per value or less
    assert oim.macs['backbone'] < outputs['flops'] < 1.1 * oim.macs['backbone']


def test_macs_of_conv5_grow_with_the_rois(oim):
    cfg = config('oim/oim_r18_tiny')
    cfg.merge_from_dict({'model.test_cfg.rpn.max_per_img': 10})
    few = analyze(cfg, SHAPE, repeats=0)
    assert few.rois == 10 < oim.rois
    assert few.milliseconds == {}
    assert min(oim.milliseconds.values()) > 0
    assert set(oim.milliseconds) == {'ms', 'CPU ms'}
    head = 'roi_head.shared_head'
    assert few.macs[head] * oim.rois == oim.macs[head] * few.rois
    assert few.macs['backbone'] == oim.macs['backbone']


@pytest.mark.parametrize('backbone', ['r18', 'mnv2'])
def test_a_light_head_by_hand(backbone, oim):
    light = analyze(config(f'light/light_{backbone}_synth'), SHAPE, repeats=0)
    # 8 x 8 cells of 32 channels, two layers; conv5 has 3 x 3 convolutions of
    # 128 or 256 to 256 channels on 4 x 4 cells and a 1 x 1 one beside them
    assert light.head_macs == 8 * 8 * 32 * 512 + 512 * 256
    conv5 = 16 * 256 * (9 * 128 + 3 * 9 * 256 + 128)
    assert oim.head_macs == conv5
    assert 28 < conv5 / light.head_macs < 29
    parameters = light.head_macs + 2 * (512 + 256)  # and of the BatchNorms
    assert light.parameters['roi_head.shared_head'].total == parameters
    parts = [v for k, v in light.macs.items() if k != 'all']
    assert sum(parts) == light.macs['all']
    # the map is thinned once, whatever the number of RoIs
    channels = 128 if backbone == 'r18' else 48
    thin = 6 * 8 * channels * 32
    assert light.macs['roi_head.bbox_roi_extractor'] > thin
    assert light.parameters['roi_head.bbox_roi_extractor'].total == (
        channels * 32 + 2 * 32
    )


def test_a_convolution_by_hand(oim):
    # 1 x 1 convolutions of the RPN and its 3 x 3 on a map of stride 16
    rpn = config('oim/oim_r18_tiny').model.rpn_head
    wide, inside = rpn.feat_channels, rpn.in_channels
    anchors = len(rpn.anchor_generator.scales) * len(
        rpn.anchor_generator.ratios
    )
    places = SHAPE[0] // 16 * SHAPE[1] // 16
    by_hand = places * (9 * inside * wide + 5 * anchors * wide)
    assert oim.macs['rpn_head'] == by_hand


def test_a_query_guided_network_is_run_on_a_pair(oim):
    pair = analyze(config('qeeps/qeeps_r18_tiny'), SHAPE, repeats=0)
    assert pair.pairs
    assert not oim.pairs
    assert pair.rois == oim.rois + 1  # and the query
    assert pair.macs['backbone'] >= 2 * oim.macs['backbone']
    assert pair.macs['roi_head.sim_head'] > 0


def test_the_teacher_of_a_student_is_not_counted():
    cfg = config('kd/oim_r18_det50_synth')
    assert 'distiller' in cfg.model
    student = count_parameters(build_network(cfg))
    alone = count_parameters(build_network(config('oim/oim_r18_w0.1_synth')))
    assert student == alone


def test_config_is_left_as_it_is():
    cfg = config('kd/oim_r18_det50_synth')
    before = Config(cfg.to_dict()).pretty_text
    build_network(cfg)
    assert Config(cfg.to_dict()).pretty_text == before


def test_percentages_are_of_the_first():
    parameters = {'all': Count(2_000_000, 1_000_000)}
    macs = {'all': 4_000_000_000, 'roi_head.shared_head': 900_000_000}
    first = Analysis(parameters, {}, macs, 300, {'ms': 20})
    second = Analysis(
        {'all': Count(1_000_000), 'backbone': Count(500_000)},
        {'queue': 10_000},
        {'all': 3_000_000_000},
        100,
        pairs=True,
    )
    lines = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in table({'a': first, 'b': second}, (60, 80)).splitlines()
    ]
    cells = {line[0]: line[1:] for line in lines}
    assert lines[0] == ['', 'a', 'b, pair']
    assert cells['parameters, M'] == ['3.000', '1.000 (33 %)']
    assert cells['- frozen'] == ['1.000', '-']
    assert cells['- in backbone'] == ['-', '0.500']
    assert cells['not learnt: queue, M'] == ['-', '0.010']
    assert cells['parameters and all of these, M'] == [
        *('3.000', '1.010 (34 %)'),
    ]
    assert cells['GMACs, 80 x 60'] == ['4.00', '3.00 (75 %)']
    assert cells['RoIs'] == ['300', '100 (33 %)']
    assert cells['MMACs of a RoI in roi_head.shared_head'] == ['3.00', '-']
    assert cells['ms, 80 x 60'] == ['20', '-']
    assert not any(name.startswith('CPU') for name in cells)
