import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmdet.models.backbones import ResNet
from torch import nn

from mmps.models.qsse_resnet import QSSEResNet, Stream
from mmps.models.running_norm import RunningNorm

STAGES = dict(
    num_stages=3,
    strides=(1, 2, 2),
    dilations=(1, 1, 1),
    out_indices=(2,),
    base_channels=8,
)
DEPTHS = pytest.mark.parametrize('depth', [18, 50])
#: of every query, x1 y1 x2 y2 in input pixels
BOX = torch.tensor([[2.5, 1, 15, 8.5]])


def draw_weights(net, seed=0):
    """Weights and BatchNorm statistics as of a trained network."""
    torch.manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, mean=0.7, std=0.2)
            nn.init.normal_(module.bias, std=0.2)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.3)
            nn.init.normal_(module.bias, std=0.3)
        elif isinstance(module, RunningNorm):
            nn.init.normal_(module.mean, std=0.2)
            nn.init.uniform_(module.var, 0.5, 1.5)
    net.eval()  # of mmdet's ResNet, returns nothing
    return net


def make(depth=18, **options):
    return draw_weights(QSSEResNet(depth=depth, **{**STAGES, **options}))


def plain_twin(net, depth):
    twin = ResNet(depth=depth, **STAGES)
    weights = {k: v for k, v in net.state_dict().items() if 'gates.' not in k}
    twin.load_state_dict(weights)
    twin.eval()
    return twin


def draw_images(*shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape[0], 3, *shape[1:], generator=generator)


def whole(images):
    return [tuple(images.shape[-2:])] * len(images)


def run(net, query, gallery):
    with torch.no_grad():
        return pair(net, query, gallery, (whole(query), whole(gallery)))


def pair(net, query, gallery, sizes):
    return net.forward_pairs(query, gallery, sizes, BOX.expand(len(query), 4))


def pad(images):
    """Images (3, h, w) in the corner of a batch of zeros, and their sizes."""
    height = max(image.shape[1] for image in images)
    width = max(image.shape[2] for image in images)
    padded = torch.zeros(len(images), 3, height, width)
    for row, image in zip(padded, images, strict=True):
        row[:, : image.shape[1], : image.shape[2]] = image
    return padded, [tuple(image.shape[1:]) for image in images]


def slow_gate(gate, query, gallery):
    """The formula of the centred gate in NumPy, one pair of vectors."""
    w1, b1, w2, b2, mean, var = (
        p.detach().double().numpy()
        for p in (
            *(gate.fc1.weight, gate.fc1.bias),
            *(gate.fc2.weight, gate.fc2.bias),
            *(gate.norm.mean, gate.norm.var),
        )
    )
    z = np.concatenate([query.double().numpy(), gallery.double().numpy()])
    z = (z - mean) / np.sqrt(var + gate.norm.eps)
    logits = w2 @ np.maximum(w1 @ z + b1, 0) + b2
    return torch.from_numpy(2 / (1 + np.exp(-logits)))


def slow_average(x, box, stride):
    """Mean of a map (C, h, w) over a box in input pixels, cell by cell."""
    total, area = torch.zeros(len(x), dtype=torch.float64), 0.0
    x1, y1, x2, y2 = box.double() / stride
    for row in range(x.shape[1]):
        for column in range(x.shape[2]):
            height = min(y2, row + 1) - max(y1, row)
            width = min(x2, column + 1) - max(x1, column)
            if height > 0 and width > 0:
                total += height * width * x[:, row, column].double()
                area += height * width
    return total / area


def slow_pair(net, query, gallery):
    """QSSE-Net on two unpadded images (1, 3, h, w), written out."""

    def stem(x):
        return net.maxpool(F.relu(net.bn1(net.conv1(x))))

    def branch(block, x):
        count = 3 if hasattr(block, 'conv3') else 2
        for i in range(1, count + 1):
            x = getattr(block, f'bn{i}')(getattr(block, f'conv{i}')(x))
            x = F.relu(x) if i < count else x
        return x

    x_q, x_g = stem(query), stem(gallery)
    gates = iter(net.gates)
    for number, layer in enumerate((net.layer1, net.layer2, net.layer3)):
        for block in layer:
            u_q, u_g = branch(block, x_q), branch(block, x_g)
            if net.query_pool == 'box':
                z_q = slow_average(u_q[0], BOX[0], 4 * 2**number)
            else:
                z_q = u_q[0].double().mean(dim=(1, 2))
            z_g = torch.tensor([part.double().mean() for part in u_g[0]])
            s = slow_gate(next(gates), z_q, z_g).float()[:, None, None]
            shortcut = block.downsample or nn.Identity()
            x_q = F.relu(s * u_q + shortcut(x_q))
            x_g = F.relu(s * u_g + shortcut(x_g))
    return x_q, x_g


# --- gates left out


@DEPTHS
def test_without_gates_both_streams_are_the_plain_network(depth):
    net = make(depth, gated=False)
    plain = plain_twin(net, depth)
    query, gallery = draw_images(2, 48, 64), draw_images(2, 61, 39, seed=2)
    outputs = run(net, query, gallery)
    with torch.no_grad():
        for images, output in zip((query, gallery), outputs, strict=True):
            assert torch.equal(output, plain(images)[0])
            assert output.std() > 0.1


@DEPTHS
def test_a_fresh_network_is_the_plain_one(depth):
    net = QSSEResNet(depth=depth, **STAGES)
    net.init_weights()
    net.eval()
    plain = plain_twin(net, depth)
    query, gallery = draw_images(2, 48, 64), draw_images(2, 61, 39, seed=2)
    outputs = run(net, query, gallery)
    with torch.no_grad():
        for images, output in zip((query, gallery), outputs, strict=True):
            assert torch.equal(output, plain(images)[0])


@DEPTHS
def test_single_images_can_pass_no_gate(depth):
    net = make(depth, single='none')
    images = draw_images(2, 61, 39)
    with torch.no_grad():
        expected = plain_twin(net, depth)(images)[0]
        assert torch.equal(net(images)[0], expected)
        assert torch.equal(net.plain_features(images, whole(images)), expected)
    assert not torch.equal(run(net, images, images)[0], expected)


def test_a_single_image_can_be_its_own_query():
    net = make(query_pool='scene')
    images = draw_images(2, 61, 39)
    with torch.no_grad():
        _, expected = run(net, images, images)
        torch.testing.assert_close(net(images)[0], expected)


def test_a_single_image_can_have_the_mean_query():
    net = make(single='mean')
    blind = copy.deepcopy(net)  # a mean query adds nothing to W1 norm(z)
    for gate in blind.gates:
        gate.fc1.weight.data[:, : gate.fc1.in_features // 2] = 0
    images, others = draw_images(2, 61, 39), draw_images(2, 48, 64, seed=2)
    with torch.no_grad():
        _, expected = run(blind, others, images)
        torch.testing.assert_close(net(images)[0], expected)
    assert not torch.allclose(run(net, others, images)[1], expected, atol=0.01)


def test_the_mean_query_needs_a_gate_that_knows_it():
    with pytest.raises(ValueError, match="single='mean' needs"):
        make(gate='paper', single='mean')


@pytest.mark.parametrize('name', ['single', 'query_pool', 'gate'])
def test_an_unknown_choice_is_refused(name):
    with pytest.raises(ValueError, match=rf"{name} must be .*'both'"):
        make(**{name: 'both'})


@pytest.mark.parametrize('single', ['none', 'self', 'mean'])
def test_single_images_are_the_same_alone_and_padded(single):
    net = make(single=single)
    images = [*draw_images(1, 37, 53), *draw_images(1, 64, 40, seed=2)]
    with torch.no_grad():
        padded = net.plain_features(*pad(images))
        for image, output in zip(images, padded, strict=True):
            expected = net(image[None])[0][0]
            check_inside(output, expected)


def check_close(output, expected):
    """Equal but for float32 rounding through up to 13 blocks."""
    size = float(expected.abs().max())
    torch.testing.assert_close(output, expected, rtol=0, atol=2e-5 * size)


def check_inside(output, expected):
    """Equal to ``expected`` in the corner and zero elsewhere."""
    outside = output.clone()
    height, width = expected.shape[1:]
    check_close(output[:, :height, :width], expected)
    outside[:, :height, :width] = 0
    assert not outside.any()


# --- the value of pairs


@pytest.mark.parametrize('query_pool', ['box', 'scene'])
@DEPTHS
def test_pairs_are_the_slow_network_written_out(depth, query_pool):
    net = make(depth, query_pool=query_pool)
    query, gallery = draw_images(1, 45, 64), draw_images(1, 48, 39, seed=2)
    with torch.no_grad():
        expected = slow_pair(net, query, gallery)
    for output, value in zip(run(net, query, gallery), expected, strict=True):
        assert output.std() > 0.1
        check_close(output, value)


@DEPTHS
def test_swapping_the_images_swaps_the_maps_if_w1_treats_them_alike(depth):
    net = make(depth, query_pool='scene')
    query, gallery = draw_images(2, 48, 64), draw_images(2, 61, 39, seed=2)
    straight, crossed = run(net, query, gallery), run(net, gallery, query)
    assert not torch.allclose(straight[0], crossed[1], atol=1e-3)
    for gate in net.gates:
        first, second = gate.fc1.weight.data.chunk(2, dim=1)
        second.copy_(first)
        for statistic in (gate.norm.mean, gate.norm.var):
            first, second = statistic.chunk(2)
            second.copy_(first)
    straight, crossed = run(net, query, gallery), run(net, gallery, query)
    check_close(straight[0], crossed[1])
    check_close(straight[1], crossed[0])


@DEPTHS
def test_padding_changes_nothing(depth):
    net = make(depth)
    queries = [
        *draw_images(1, 37, 53),
        *draw_images(1, 64, 80, seed=2),
        *draw_images(1, 17, 33, seed=3),
    ]
    gallery = [
        *draw_images(1, 81, 47, seed=4),
        *draw_images(1, 50, 96, seed=5),
        *draw_images(1, 49, 65, seed=6),
    ]
    padded_q, sizes_q = pad(queries)
    padded_g, sizes_g = pad(gallery)
    with torch.no_grad():
        outputs = pair(net, padded_q, padded_g, (sizes_q, sizes_g))
    for i, images in enumerate(zip(queries, gallery, strict=True)):
        alone = run(net, *(image[None] for image in images))
        for output, expected in zip(outputs, alone, strict=True):
            check_inside(output[i], expected[0])


@pytest.mark.parametrize('height', [17, 22, 33])
def test_padding_changes_nothing_on_the_smallest_maps(height):
    # 33 rows are 3 cells of the C4 map, eleven rows each on average
    net = make()
    images = [*draw_images(1, height, 40), *draw_images(1, 9, 19, seed=2)]
    padded, sizes = pad(images)
    with torch.no_grad():
        outputs = pair(net, padded, padded, (sizes, sizes))[0]
    for image, output in zip(images, outputs, strict=True):
        check_inside(output, run(net, image[None], image[None])[0][0])


@DEPTHS
def test_a_batch_of_pairs_is_its_pairs_one_by_one(depth):
    net = make(depth)
    query, gallery = draw_images(3, 48, 64), draw_images(3, 61, 39, seed=2)
    outputs = run(net, query, gallery)
    for i in range(3):
        alone = run(net, query[i : i + 1], gallery[i : i + 1])
        for output, expected in zip(outputs, alone, strict=True):
            check_close(output[i], expected[0])


def test_a_begun_image_can_be_paired_with_many():
    net = make()
    image, size = draw_images(1, 48, 64), [(41, 50)]
    image[:, :, 41:], image[:, :, :, 50:] = 0, 0
    others = draw_images(3, 61, 39, seed=2)
    copies = image.repeat(3, 1, 1, 1)
    with torch.no_grad():
        expected = pair(net, copies, others, (size * 3, whole(others)))
        begun = [Stream.batch([net.begin(image, size, BOX)] * 3)]
        begun.append(Stream.batch([net.begin(image, size)] * 3))
        outputs = net.continue_pairs(
            begun[0], net.begin(others, whole(others))
        )
        crossed = net.continue_pairs(
            net.begin(others, whole(others), BOX.expand(3, 4)), begun[1]
        )
        backward = pair(net, others, copies, (whole(others), size * 3))
    for got, value in ((outputs, expected), (crossed, backward)):
        for output, full in zip(got, value, strict=True):
            check_close(output, full)


# --- settings of the plain network


@pytest.mark.parametrize(
    ('setting', 'value'),
    [
        ('deep_stem', True),
        ('avg_down', True),
        ('with_cp', True),
        (
            'plugins',
            [dict(cfg=dict(type='ContextBlock'), position='after_conv3')],
        ),
        ('out_indices', (0, 1, 2)),
        ('out_indices', (1,)),
        ('strides', (1, 2, 3)),
    ],
)
@DEPTHS
def test_a_setting_that_pairs_would_not_heed_is_refused(depth, setting, value):
    with pytest.raises(
        ValueError, match=rf'QSSEResNet cannot have {setting}='
    ):
        QSSEResNet(depth=depth, **{**STAGES, setting: value})


def test_all_stages_of_the_default_are_refused_as_several_maps():
    with pytest.raises(ValueError, match=r'last stage alone, \(3,\)'):
        QSSEResNet(depth=18)


@pytest.mark.parametrize(
    ('depth', 'options'),
    [
        (34, {}),
        (50, dict(style='caffe')),
        (18, dict(stem_channels=12)),
        (50, dict(strides=(1, 2, 1), dilations=(1, 1, 2))),
        (18, dict(strides=(1, 2, 4))),
        # whatever stands for the 3x3 convolution
        (
            50,
            dict(dcn=dict(type='Conv2d'), stage_with_dcn=(False, True, True)),
        ),
        (
            18,
            dict(deep_stem=False, avg_down=False, with_cp=False, plugins=None),
        ),
        (
            18,
            dict(
                num_stages=4,
                strides=(1, 2, 2, 2),
                dilations=(1, 1, 1, 1),
                out_indices=(3,),
            ),
        ),
    ],
    ids=str,
)
def test_other_settings_are_heeded_by_pairs_too(depth, options):
    net = make(depth, gated=False, **options)
    images = [*draw_images(1, 37, 53), *draw_images(1, 64, 80, seed=2)]
    padded, sizes = pad(images)
    with torch.no_grad():
        outputs = pair(net, padded, padded, (sizes, sizes))
        for number, image in enumerate(images):
            (expected,) = net(image[None])
            assert expected.std() > 0.1
            for output in outputs:
                check_inside(output[number], expected[0])


def test_a_misspelt_setting_is_refused():
    with pytest.raises(TypeError, match='deepstem'):
        make(deepstem=True)


# --- gates of the blocks


@pytest.mark.parametrize(
    'options', [{}, dict(reduction=4, min_hidden=1, shared_gate=False)]
)
@DEPTHS
def test_every_block_has_a_gate_of_its_width(depth, options):
    net = make(depth, **options)
    blocks = {18: [2, 2, 2], 50: [3, 4, 6]}[depth]
    widths = [
        width * {18: 1, 50: 4}[depth]
        for width, count in zip((8, 16, 32), blocks, strict=True)
        for _ in range(count)
    ]
    reduction = options.get('reduction', 16)
    least = options.get('min_hidden', 32)
    assert [g.fc1.in_features for g in net.gates] == [
        2 * width for width in widths
    ]
    assert [g.fc1.out_features for g in net.gates] == [
        max(width // reduction, least) for width in widths
    ]
    assert all(g.shared is (not options) for g in net.gates)


# --- weights


@DEPTHS
def test_frozen_stages_keep_their_gates_trainable(depth):
    net = QSSEResNet(depth=depth, frozen_stages=1, **STAGES)
    for _ in range(2):
        frozen = {n for n, p in net.named_parameters() if not p.requires_grad}
        expected = {
            name
            for name, _ in net.named_parameters()
            if name.startswith(('conv1.', 'bn1.', 'layer1.'))
        }
        assert frozen == expected
        net.train()


@DEPTHS
def test_weights_of_a_plain_network_fit(depth):
    plain = draw_weights(ResNet(depth=depth, **STAGES))
    net = QSSEResNet(depth=depth, **STAGES)
    missing, unexpected = net.load_state_dict(plain.state_dict(), strict=False)
    assert unexpected == []
    assert missing == [name for name in net.state_dict() if 'gates.' in name]
    # two layers, and mean, var and steps of the descriptor
    assert len(missing) == 7 * len(net.blocks())
    ungated = QSSEResNet(depth=depth, gated=False, **STAGES)
    assert ungated.state_dict().keys() == plain.state_dict().keys()


@DEPTHS
def test_every_weight_gets_a_gradient_from_both_images(depth):
    net = make(depth)
    query, gallery = draw_images(2, 48, 64), draw_images(2, 61, 39, seed=2)
    for image in (query, gallery):
        image.requires_grad_()
    maps = pair(net, query, gallery, (whole(query), whole(gallery)))
    maps[0].sum().backward()
    assert query.grad.any()
    assert gallery.grad.any()  # through the gates alone
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
