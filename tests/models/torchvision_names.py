"""A ResNet state dict as torchvision names it, written out by hand."""

import torch

BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}


def conv(state, name, out_channels, in_channels, size):
    weight = torch.randn(out_channels, in_channels, size, size)
    # keeps the variance from layer to layer
    state[f'{name}.weight'] = weight * (2 / weight[0].numel()) ** 0.5


def norm(state, name, channels):
    state[f'{name}.weight'] = torch.rand(channels)
    state[f'{name}.bias'] = 0.1 * torch.randn(channels)
    state[f'{name}.running_mean'] = 0.1 * torch.randn(channels)
    state[f'{name}.running_var'] = torch.rand(channels) + 0.5
    state[f'{name}.num_batches_tracked'] = torch.tensor(0)


def torchvision_state(depth):
    """Random weights of torchvision.models.resnet18 or resnet50."""
    state, expansion = {}, 1 if depth == 18 else 4
    conv(state, 'conv1', 64, 3, 7)
    norm(state, 'bn1', 64)
    channels = 64
    for stage, blocks in enumerate(BLOCKS[depth]):
        planes = 64 * 2**stage
        sizes = (3, 3) if depth == 18 else (1, 3, 1)
        widths = (planes,) * (len(sizes) - 1) + (planes * expansion,)
        for block in range(blocks):
            name = f'layer{stage + 1}.{block}'
            entry = channels
            for i, (size, width) in enumerate(zip(sizes, widths, strict=True)):
                conv(state, f'{name}.conv{i + 1}', width, channels, size)
                norm(state, f'{name}.bn{i + 1}', width)
                channels = width
            if block == 0 and (stage or depth == 50):
                conv(state, f'{name}.downsample.0', channels, entry, 1)
                norm(state, f'{name}.downsample.1', channels)
    state['fc.weight'] = torch.randn(1000, channels)
    state['fc.bias'] = torch.randn(1000)
    return state
