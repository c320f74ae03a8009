"""The parts of a person search network that become graphs of ONNX.

Symbols used in this file:
    H, W        height and width of the scaled picture
    C, h, w     the C4 map
    A           base anchors of a cell
    R           boxes
    D           size of an embedding

All loops and choices stay outside: anchors, suppression and what counts are
done by who runs the graphs (``mmps.inference.onnx_boxes``).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from mmdet.models.backbones import ResNet
from torch import Tensor, nn
from torch.export import Dim

from mmps.inference.onnx_metadata import REID
from mmps.models import QSSEResNet, SequentialRoIHead

#: Sizes that a graph is traced with; neither they nor others are special.
_SIDES, _BOXES = (90, 123), 3


@dataclass(frozen=True)
class Part:
    """A graph before it is exported.

    Attributes:
        module: Takes tensors, returns tensors.
        inputs: Name -> example.
        outputs: Names.
        dynamic: Name of an input -> its dimensions of any size.
    """

    module: nn.Module
    inputs: Mapping[str, Tensor]
    outputs: tuple[str, ...]
    dynamic: Mapping[str, tuple[int, ...]]

    @property
    def shapes(self) -> dict[str, dict[int, object]]:
        """``dynamic_shapes`` of ``torch.export``."""
        return {
            name: dict.fromkeys(axes, Dim.DYNAMIC)
            for name, axes in self.dynamic.items()
        }


def parts_of(model: nn.Module) -> dict[str, Part]:
    """Scene graph and people graphs of a network.

    Args:
        model: A ``PersonSearchRCNN`` without gates, in eval mode.

    Returns:
        'scene', 'people' and, of a network with two heads, 'reid'.
    """
    scene = Scene(model).eval()
    image = example_image()
    with torch.no_grad():
        c4 = scene(image)[0]
    boxes = {'c4': c4, 'rois': _some_boxes()}
    axes = {'c4': (2, 3), 'rois': (0,)}
    parts = {
        'scene': Part(
            scene,
            {'image': image},
            ('c4', 'rpn_logits', 'rpn_deltas'),
            {'image': (2, 3)},
        )
    }
    head = model.roi_head
    names = ('logits', 'deltas')
    if isinstance(head, SequentialRoIHead):
        parts['people'] = Part(Detector(head).eval(), boxes, names, axes)
        parts[REID] = Part(
            SecondHead(head).eval(), boxes, (*names, 'embeddings'), axes
        )
    else:
        parts['people'] = Part(
            People(head).eval(), boxes, (*names, 'embeddings'), axes
        )
    return parts


def example_image() -> Tensor:
    """(1, 3, H, W) that a graph is traced with."""
    return torch.rand(1, 3, *_SIDES) * 255


def _some_boxes() -> Tensor:
    corner = torch.rand(_BOXES, 2) * 40
    return torch.cat([corner, corner + 10 + torch.rand(_BOXES, 2) * 30], dim=1)


class Scene(nn.Module):
    """Pixels to the C4 map and the outputs of the RPN.

    Normalisation and padding are those of the model's ``data_preprocessor``.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.backbone, self.rpn_head = model.backbone, model.rpn_head
        before = model.data_preprocessor
        self.flips = before._channel_conversion
        self.register_buffer('mean', before.mean)
        self.register_buffer('std', before.std)
        self.divisor = before.pad_size_divisor

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Look at a picture.

        Args:
            image: (1, 3, H, W) float32 in [0, 255], blue green red.

        Returns:
            (1, C, h, w), logits (1, A, h, w) and deltas (1, 4 A, h, w).
        """
        c4 = self.features(self.normalised(image))
        (logits,), (deltas,) = self.rpn_head((c4,))
        return c4, logits, deltas

    def normalised(self, image: Tensor) -> Tensor:
        """(1, 3, H, W) of pixels to what the backbone takes."""
        if self.flips:
            image = image.flip(1)
        return (image - self.mean) / self.std

    def features(self, x: Tensor) -> Tensor:
        """(1, 3, H, W) to the C4 map."""
        if isinstance(self.backbone, QSSEResNet):
            # holds its padding at zero: as if there were none
            return ResNet.forward(self.backbone, x)[0]
        height, width = x.shape[2:]
        over = (-width % self.divisor, -height % self.divisor)
        return self.backbone(F.pad(x, (0, over[0], 0, over[1])))[0]


class _OnBoxes(nn.Module):
    """What looks at boxes of a C4 map."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    @staticmethod
    def with_image(rois: Tensor) -> Tensor:
        """(R, 4) to the (R, 5) of the only picture."""
        return F.pad(rois, (1, 0))


class People(_OnBoxes):
    """A head that detects and embeds the same boxes (OIM, NAE, OIMNet++)."""

    def forward(
        self, c4: Tensor, rois: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Look at boxes.

        Args:
            c4: (1, C, h, w).
            rois: (R, 4) x1 y1 x2 y2 in pixels of the scaled picture.

        Returns:
            (R, 2) logits (person, background), (R, 4) deltas, (R, D).
        """
        pooled = self.head.pool((c4,), self.with_image(rois))
        return *self.head.box_branch(pooled), self.head.oim_head(pooled)


class Detector(_OnBoxes):
    """The first head of two, which detects (SeqNet)."""

    def forward(self, c4: Tensor, rois: Tensor) -> tuple[Tensor, Tensor]:
        """As ``People``, without embeddings."""
        pooled = self.head.pool((c4,), self.with_image(rois))
        return self.head.box_branch(pooled)


class SecondHead(_OnBoxes):
    """The second head of two, which embeds detections (SeqNet)."""

    def forward(
        self, c4: Tensor, rois: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """As ``People``; logits are (R,), of being a person."""
        vectors = self.head.reid_vectors((c4,), self.with_image(rois))
        embeddings, logits = self.head.oim_head.embed(vectors)
        return logits, self.head.reid_deltas(vectors), embeddings
