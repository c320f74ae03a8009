"""BaseNet of QEEPS: two ResNets of shared weights that gate each other.

Symbols used in this file:
    B           pairs of a query image and a gallery image
    C, h, w     channels and size of a block's residual branch
    r           reduction of the gate's hidden layer

Source: Munjal et al., "Query-guided End-to-End Person Search", CVPR 2019,
section 3.2 (QSSE-Net).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from mmdet.models.backbones import ResNet
from mmdet.registry import MODELS
from torch import Tensor, nn

from .query_gate import QuerySqueezeGate, hidden_units

#: Height and width of each image inside its padding, in input pixels.
Sizes = Sequence[tuple[int, int]]


@MODELS.register_module()
class QSSEResNet(ResNet):
    """ResNet on pairs, in lock-step, with a gate in every residual block.

    ``forward_pairs`` is QSSE-Net. Single images (``forward``,
    ``plain_features``) have no query; see ``single``. The weights of a plain
    ResNet fit; the gates (``gates.*``, in the order of the blocks) come on
    top.

    What is outside an image, in the padding of its batch, is held at zero
    before every convolution and left out of the averages, so that an image
    gives the same features alone and in a batch. That holds for BatchNorm at
    rest (``norm_eval``, or testing): a BatchNorm that trains counts the zeros
    of the padding in its statistics, as in stock MMDetection.

    Args:
        gated: Whether there are gates; False is the plain network on both
            images.
        gate: Their form, 'centred' or the 'paper' 's, see ``Gate``.
        reduction: r of the gates.
        min_hidden: Hidden units of a gate, at least.
        shared_gate: Whether both images of a pair get the same gate.
        query_pool: What of the query image is averaged: its 'scene', as in
            the paper, or the 'box' of its person. The average of a scene
            says little about one of its people.
        single: Gates of a single image: those that it gets as its own query
            ('self'), those of the average query of the training ('mean'), or
            'none', a network that was never trained (docs/qeeps.md).
        kwargs: Of mmdet's ``ResNet``, but those that pairs would not heed:
            see ``_check_pairable``.
    """

    def __init__(
        self,
        *,
        gated: bool = True,
        gate: str = 'centred',
        reduction: int = 16,
        min_hidden: int = 32,
        shared_gate: bool = True,
        query_pool: str = 'box',
        single: str = 'self',
        **kwargs,
    ) -> None:
        _check_pairable(**kwargs)
        super().__init__(**kwargs)
        for name, value, known in (
            ('query_pool', query_pool, ('box', 'scene')),
            ('single', single, ('none', 'self', 'mean')),
        ):
            if value not in known:
                raise ValueError(
                    f'{name} must be one of {known}, got {value!r}'
                )
        if gate == 'paper' and single == 'mean':
            raise ValueError(
                "single='mean' needs the mean query that gate='centred' "
                "keeps; with gate='paper' choose 'none' or 'self'"
            )
        self.gated = gated
        self.query_pool = query_pool
        self.single = single
        if gated:
            self.gates = nn.ModuleList(
                QuerySqueezeGate(
                    channels,
                    hidden_units(channels, reduction, min_hidden),
                    shared_gate,
                    gate,
                )
                for channels in map(out_channels, self.blocks())
            )

    def blocks(self) -> list[nn.Module]:
        """All residual blocks in order."""
        return [
            block for name in self.res_layers for block in getattr(self, name)
        ]

    def forward(self, x: Tensor) -> tuple[Tensor]:
        """(B, 3, H, W) single images, not padded, to their C4 maps."""
        return (self.plain_features(x, [tuple(x.shape[-2:])] * len(x)),)

    def forward_pairs(
        self,
        query: Tensor,
        gallery: Tensor,
        sizes: tuple[Sizes, Sizes],
        boxes: Tensor,
        averages: list | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Run both images of every pair.

        Args:
            query: (B, 3, H, W).
            gallery: (B, 3, H', W').
            sizes: Of the query images and of the gallery images.
            boxes: (B, 4) of the queries, in input pixels.
            averages: A list that gets the averages of each block, see
                ``continue_pairs``.

        Returns:
            Their C4 maps (B, C, H / 16, W / 16), zero outside the images.
        """
        return self.continue_pairs(
            self.begin(query, sizes[0], boxes),
            self.begin(gallery, sizes[1]),
            averages,
        )

    def begin(
        self, images: Tensor, sizes: Sizes, boxes: Tensor | None = None
    ) -> 'Stream':
        """What does not depend on the other image: stem and first branch.

        Args:
            images: (B, 3, H, W).
            sizes: Height and width of each image without padding, in input
                pixels.
            boxes: (B, 4) of queries, in input pixels; None for galleries.
        """
        x = self.relu(self.norm1(self.conv1(images)))
        mask = Mask(sizes, images.shape[-2:])
        x = mask(self.maxpool(mask(x)))
        branch = residual_branch(self.blocks()[0], x, mask)
        if self.query_pool == 'scene':
            boxes = None
        return Stream(x, branch, mask, boxes)

    def continue_pairs(
        self,
        query: 'Stream',
        gallery: 'Stream',
        averages: list[tuple[Tensor, Tensor]] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """From ``begin`` of both images to their C4 maps.

        Args:
            query: Query images of B pairs, from ``begin``.
            gallery: Gallery images of the same pairs, from ``begin``.
            averages: Gets what the gate of each block was made of, (B, C) of
                the queries and of the gallery images, without gradient.
        """
        for number, block in enumerate(self.blocks()):
            if number:
                query, gallery = query.through(block), gallery.through(block)
            gates = (None, None)
            if self.gated:
                both = query.average(), gallery.average()
                gates = self.gates[number](*both)
                if averages is not None:
                    averages.append(tuple(z.detach() for z in both))
            query, gallery = (
                stream.add(block, gate)
                for stream, gate in zip((query, gallery), gates, strict=True)
            )
        return query.x, gallery.x

    @torch.no_grad()
    def gates_of_queries(
        self, averages: Sequence[tuple[Tensor, Tensor]], gallery: int = 0
    ) -> list[Tensor]:
        """Gates of one gallery image, for each query of a batch.

        Args:
            averages: For each block (B, C) of queries and of gallery images,
                from ``continue_pairs``.
            gallery: Position of the gallery image in the batch.

        Returns:
            (B, C) for each block.
        """
        found = []
        for gate, (query, images) in zip(self.gates, averages, strict=True):
            image = images[gallery].expand_as(query)
            gates = gate.look(torch.cat([query, image], dim=1))
            found.append(gates[:, -images.shape[1] :])
        return found

    def plain_features(self, images: Tensor, sizes: Sizes) -> Tensor:
        """C4 map of single images, padding held at zero; see ``single``."""
        stream = self.begin(images, sizes)
        for number, block in enumerate(self.blocks()):
            if number:
                stream = stream.through(block)
            stream = stream.add(block, self._single_gate(number, stream))
        return stream.x

    def _single_gate(self, number: int, stream: 'Stream') -> Tensor | None:
        """(B, C) gate of a block for images without a query."""
        if not self.gated or self.single == 'none':
            return None
        average = stream.average()
        query = average
        if self.single == 'mean':
            channels = average.shape[1]
            query = self.gates[number].norm.mean[:channels]
            query = query.to(average).expand_as(average)
        return self.gates[number](query, average)[1]


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


@dataclass(frozen=True)
class Stream:
    """One image of each pair on its way through the blocks.

    Attributes:
        x: (B, C, h, w) input of a block, zero outside the images.
        branch: The residual branch of that block, before gate and addition.
        mask: Where the images are, without padding.
        boxes: (B, 4) in input pixels, where averages are taken; None for
            whole images.
    """

    x: Tensor
    branch: Tensor
    mask: Mask
    boxes: Tensor | None = None

    @classmethod
    def batch(cls, streams: Sequence['Stream']) -> 'Stream':
        """One batch of single images of equal padded size."""
        boxes = None
        if streams[0].boxes is not None:
            boxes = torch.cat([stream.boxes for stream in streams])
        return cls(
            torch.cat([stream.x for stream in streams]),
            torch.cat([stream.branch for stream in streams]),
            Mask(
                [size for stream in streams for size in stream.mask.sizes],
                streams[0].mask.padded,
            ),
            boxes,
        )

    def through(self, block: nn.Module) -> 'Stream':
        """Compute the residual branch of the next block."""
        return replace(self, branch=residual_branch(block, self.x, self.mask))

    def average(self) -> Tensor:
        """(B, C) float32 of the branch."""
        if self.boxes is None:
            return self.mask.average(self.branch.float())
        stride = stride_of(tuple(self.branch.shape[-2:]), self.mask.padded)
        return box_average(self.branch.float(), self.boxes / stride)

    def add(self, block: nn.Module, gate: Tensor | None) -> 'Stream':
        """Gate the branch and add it; the branch is used up."""
        shortcut = self.x if block.downsample is None else None
        if shortcut is None:
            shortcut = block.downsample(self.x)
        branch = self.branch
        if gate is not None:
            gated = branch * gate[:, :, None, None]
            branch = gated.to(branch.dtype)  # of the autocast, if any
        return replace(
            self, x=self.mask(block.relu(branch + shortcut)), branch=None
        )


def box_average(x: Tensor, boxes: Tensor) -> Tensor:
    """Average a map over a box, cells counting by the part that is inside.

    Args:
        x: (B, C, h, w).
        boxes: (B, 4) x1 y1 x2 y2 in cells.

    Returns:
        (B, C).
    """

    def inside(low: Tensor, high: Tensor, cells: int) -> Tensor:
        start = torch.arange(cells, device=x.device, dtype=x.dtype)
        part = torch.minimum(high[:, None], start + 1) - torch.maximum(
            low[:, None], start
        )
        part = part.clamp(min=0)
        return part / part.sum(dim=1, keepdim=True).clamp(min=1e-6)

    x1, y1, x2, y2 = boxes.to(x.dtype).unbind(dim=1)
    rows = inside(y1, y2, x.shape[2])
    columns = inside(x1, x2, x.shape[3])
    return torch.einsum('bchw,bh,bw->bc', x, rows, columns)


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


def _check_pairable(
    *,
    deep_stem: bool = False,
    avg_down: bool = False,
    plugins: list | None = None,
    with_cp: bool = False,
    num_stages: int = 4,
    strides: Sequence[int] = (1, 2, 2, 2),
    out_indices: Sequence[int] = (0, 1, 2, 3),
    **_,
) -> None:
    """Refuse settings of mmdet's ``ResNet`` that pairs would not heed.

    Raises:
        ValueError: With the setting and why.
    """
    strides, out_indices = tuple(strides), tuple(out_indices)
    last = (num_stages - 1,)
    for wrong, setting, why in (
        (deep_stem, 'deep_stem=True', 'pairs enter through one 7x7 conv'),
        (avg_down, 'avg_down=True', 'its averages reach into the padding'),
        (plugins, f'plugins={plugins}', 'pairs would leave them out'),
        (with_cp, 'with_cp=True', 'pairs recompute no activation'),
        (
            any(stride not in (1, 2, 4) for stride in strides),
            f'strides={strides}',
            'where an image ends on a map is known for 1, 2 and 4',
        ),
        (
            out_indices != last,
            f'out_indices={out_indices}',
            f'pairs give the map of the last stage alone, {last}',
        ),
    ):
        if wrong:
            raise ValueError(f'QSSEResNet cannot have {setting}: {why}')
