"""BaseNet of QEEPS: two ResNets of shared weights that gate each other.

Symbols used in this file:
    B           pairs of a query image and a gallery image
    C, h, w     channels and size of a block's residual branch
    r           reduction of the gate's hidden layer

Source: Munjal et al., "Query-guided End-to-End Person Search", CVPR 2019,
section 3.2 (QSSE-Net), after Hu et al., "Squeeze-and-Excitation Networks",
CVPR 2018.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from mmdet.models.backbones import ResNet
from mmdet.registry import MODELS
from torch import Tensor, nn

from .pairable import check_pairable

#: Height and width of each image inside its padding, in input pixels.
Sizes = Sequence[tuple[int, int]]


class QuerySqueezeGate(nn.Module):
    """One gate per channel from both images of a pair.

        z_q = GAP(u_q), z_g = GAP(u_g)
        s = sigmoid(W2 ReLU(W1 [z_q ; z_g])),  u_q <- s u_q,  u_g <- s u_g

    Args:
        channels: C.
        reduction: r; the hidden layer has C / r units, at least one.
        shared: Whether both images get one gate; else W2 gives two (the paper
            leaves this open, one gate is this project's choice).
        gate_bias: Start of W2's bias; 0 weight with a bias of 4 starts at
            gates of 0.98. None keeps PyTorch's start, as the paper's author
            does: gates near 0.5, which halve the branches of a trained
            network.
    """

    def __init__(
        self,
        channels: int,
        reduction: int = 16,
        shared: bool = True,
        gate_bias: float | None = None,
    ) -> None:
        super().__init__()
        hidden = max(channels // reduction, 1)
        self.fc1 = nn.Linear(2 * channels, hidden)
        self.fc2 = nn.Linear(hidden, channels if shared else 2 * channels)
        self.shared = shared
        if gate_bias is not None:
            nn.init.zeros_(self.fc2.weight)
            nn.init.constant_(self.fc2.bias, gate_bias)

    def forward(self, query: Tensor, gallery: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C) averages of both images to two gates (B, C) in (0, 1)."""
        hidden = self.fc1(torch.cat([query, gallery], dim=1)).relu()
        gate = self.fc2(hidden).sigmoid()
        return (gate, gate) if self.shared else tuple(gate.chunk(2, dim=1))


@MODELS.register_module()
class QSSEResNet(ResNet):
    """ResNet on pairs, in lock-step, with a gate in every residual block.

    ``forward`` is the plain ResNet on single images, gates left out;
    ``forward_pairs`` is QSSE-Net. The weights of a plain ResNet fit; the
    gates (``gates.*``, in the order of the blocks) come on top.

    What is outside an image, in the padding of its batch, is held at zero
    before every convolution and left out of the averages, so that an image
    gives the same features alone and in a batch. That holds for BatchNorm at
    rest (``norm_eval``, or testing): a BatchNorm that trains counts the zeros
    of the padding in its statistics, as in stock MMDetection.

    Args:
        gated: Whether there are gates; False is the plain network on both
            images.
        reduction: r of the gates.
        shared_gate: Whether both images of a pair get the same gate.
        gate_bias: See ``QuerySqueezeGate``.
        kwargs: Of mmdet's ``ResNet``, but those that pairs would not heed:
            see ``check_pairable``.
    """

    def __init__(
        self,
        *,
        gated: bool = True,
        reduction: int = 16,
        shared_gate: bool = True,
        gate_bias: float | None = None,
        **kwargs,
    ) -> None:
        check_pairable(**kwargs)
        super().__init__(**kwargs)
        self.gated = gated
        if gated:
            self.gates = nn.ModuleList(
                QuerySqueezeGate(
                    out_channels(block), reduction, shared_gate, gate_bias
                )
                for block in self.blocks()
            )

    def blocks(self) -> list[nn.Module]:
        """All residual blocks in order."""
        return [
            block for name in self.res_layers for block in getattr(self, name)
        ]

    def forward_pairs(
        self, query: Tensor, gallery: Tensor, sizes: tuple[Sizes, Sizes]
    ) -> tuple[Tensor, Tensor]:
        """Run both images of every pair.

        Args:
            query: (B, 3, H, W).
            gallery: (B, 3, H', W').
            sizes: Of the query images and of the gallery images.

        Returns:
            Their C4 maps (B, C, H / 16, W / 16), zero outside the images.
        """
        return self.continue_pairs(
            self.begin(query, sizes[0]), self.begin(gallery, sizes[1])
        )

    def begin(self, images: Tensor, sizes: Sizes) -> 'Stream':
        """What does not depend on the other image: stem and first branch."""
        x = self.relu(self.norm1(self.conv1(images)))
        mask = Mask(sizes, images.shape[-2:])
        x = mask(self.maxpool(mask(x)))
        return Stream(x, residual_branch(self.blocks()[0], x, mask), mask)

    def continue_pairs(
        self, query: 'Stream', gallery: 'Stream'
    ) -> tuple[Tensor, Tensor]:
        """From ``begin`` of both images to their C4 maps."""
        for number, block in enumerate(self.blocks()):
            if number:
                query, gallery = query.through(block), gallery.through(block)
            gates = (None, None)
            if self.gated:
                gates = self.gates[number](query.average(), gallery.average())
            query, gallery = (
                stream.add(block, gate)
                for stream, gate in zip((query, gallery), gates, strict=True)
            )
        return query.x, gallery.x

    def alone(self, images: Tensor, sizes: Sizes) -> Tensor:
        """C4 map of single images without any gate, padding held at zero."""
        stream = self.begin(images, sizes)
        for number, block in enumerate(self.blocks()):
            if number:
                stream = stream.through(block)
            stream = stream.add(block, None)
        return stream.x


class Mask:
    """Which part of a map lies inside its image.

    Args:
        sizes: Height and width of each of B images in input pixels.
        padded: Height and width of the batch.
    """

    def __init__(self, sizes: Sizes, padded: tuple[int, int]) -> None:
        self.sizes = [tuple(size[:2]) for size in sizes]
        self.padded = tuple(padded)
        self._maps: dict[tuple[int, int], Tensor] = {}

    @property
    def full(self) -> bool:
        """Whether no image is padded."""
        return all(size == self.padded for size in self.sizes)

    def inside(self, x: Tensor) -> Tensor:
        """(B, 1, h, w) of 1 and 0 for a map (B, C, h, w)."""
        shape = tuple(x.shape[-2:])
        if shape not in self._maps:
            stride = stride_of(shape, self.padded)
            inside = x.new_zeros(len(self.sizes), 1, *shape)
            for image, (height, width) in zip(inside, self.sizes, strict=True):
                rows, columns = -(-height // stride), -(-width // stride)
                image[:, :rows, :columns] = 1
            self._maps[shape] = inside
        return self._maps[shape]

    def __call__(self, x: Tensor) -> Tensor:
        """Zero outside the images."""
        return x if self.full else x * self.inside(x)

    def average(self, x: Tensor) -> Tensor:
        """(B, C, h, w) to (B, C), over the inside of each image."""
        if self.full:
            return x.mean(dim=(2, 3))
        inside = self.inside(x)
        return (x * inside).sum(dim=(2, 3)) / inside.sum(dim=(2, 3))

    def repeat(self, times: int) -> 'Mask':
        """Of one image, for a batch of its copies."""
        return Mask(self.sizes * times, self.padded)


@dataclass(frozen=True)
class Stream:
    """One image of each pair on its way through the blocks.

    Attributes:
        x: (B, C, h, w) input of a block, zero outside the images.
        branch: The residual branch of that block, before gate and addition.
        mask: Of the images.
    """

    x: Tensor
    branch: Tensor
    mask: Mask

    def through(self, block: nn.Module) -> 'Stream':
        """Compute the residual branch of the next block."""
        return replace(self, branch=residual_branch(block, self.x, self.mask))

    def average(self) -> Tensor:
        """(B, C) of the branch."""
        return self.mask.average(self.branch)

    def add(self, block: nn.Module, gate: Tensor | None) -> 'Stream':
        """Gate the branch and add it; the branch is used up."""
        shortcut = self.x if block.downsample is None else None
        if shortcut is None:
            shortcut = block.downsample(self.x)
        branch = self.branch
        if gate is not None:
            branch = branch * gate[:, :, None, None]
        return replace(
            self, x=self.mask(block.relu(branch + shortcut)), branch=None
        )

    def repeat(self, times: int) -> 'Stream':
        """Of one image, for a batch of its copies."""
        expand = (times, -1, -1, -1)
        return Stream(
            self.x.expand(expand),
            self.branch.expand(expand),
            self.mask.repeat(times),
        )


def residual_branch(block: nn.Module, x: Tensor, mask: Mask) -> Tensor:
    """What a BasicBlock or Bottleneck of mmdet adds to its input."""
    out = block.relu(block.norm1(block.conv1(x)))
    out = block.norm2(block.conv2(mask(out)))
    if hasattr(block, 'conv3'):
        out = block.norm3(block.conv3(block.relu(out)))
    return out


def stride_of(shape: tuple[int, int], padded: tuple[int, int]) -> int:
    """Power of two that divides an input to its map, rounded up."""
    stride = 1
    while any(
        -(-whole // stride) > side
        for whole, side in zip(padded, shape, strict=True)
    ):
        stride *= 2
    return stride


def out_channels(block: nn.Module) -> int:
    """Channels of a block's residual branch."""
    return (
        block.conv3 if hasattr(block, 'conv3') else block.conv2
    ).out_channels
