"""A whole network as one graph: picture in, people out.

Symbols used in this file:
    H, W    height and width of the scaled picture
    N       boxes
    M       detections
    D       size of an embedding

The steps between the graphs of the 'split' layout, here in torch; they are
those of ``mmps.inference.onnx_network`` and ``onnx_boxes``.
"""

import torch
from torch import Tensor, nn

from mmps.inference.onnx_metadata import Anchors, Metadata

from .graphs import (
    Detector,
    Part,
    People,
    Scene,
    SecondHead,
    example_image,
)
from .suppression import best, suppress


def single_part(model: nn.Module, about: Metadata) -> Part:
    """The only graph of a network."""
    return Part(
        Single(model, about).eval(),
        {'image': example_image()},
        ('bboxes', 'scores', 'embeddings'),
        {'image': (2, 3)},
    )


class Single(nn.Module):
    """Everything from pixels to people.

    Args:
        model: A ``PersonSearchRCNN`` without gates, in eval mode.
        about: Its numbers.
    """

    def __init__(self, model: nn.Module, about: Metadata) -> None:
        super().__init__()
        self.about = about
        self.scene = Scene(model)
        self.first = (People if about.second is None else Detector)(
            model.roi_head
        )
        self.second = None
        if about.second is not None:
            self.second = SecondHead(model.roi_head)
        self.coders = dict(
            rpn=model.rpn_head.bbox_coder,
            first=model.roi_head.bbox_head.bbox_coder,
        )
        if self.second is not None:
            self.coders['second'] = model.roi_head.reid_bbox_head.bbox_coder
        self.register_buffer('base', torch.tensor(about.anchors.base))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Detect and embed.

        Args:
            image: (1, 3, H, W) float32 in [0, 255], blue green red.

        Returns:
            (M, 4) in pixels of the scaled picture, (M,) scores, (M, D).
        """
        size = image.shape[2:]
        c4, logits, deltas = self.scene(image)
        rois = self.propose(logits, deltas, size)
        rule = self.about.detections
        logits, deltas, *embeddings = self.first(c4, rois)
        boxes = self.coders['first'].decode(rois, deltas, max_shape=size)
        scores = logits.softmax(dim=1)[:, 0]
        kept = suppress(
            boxes,
            scores.where(scores >= rule.score_thr, -1.0),
            rule.iou_threshold,
            rule.max_per_img,
        )
        torch._check(kept.shape[0] >= 1)  # for the trace: 0 works, too
        boxes, scores = boxes[kept], scores[kept]
        if self.second is not None:
            return self.refine(c4, boxes, scores, size)
        if rule.embed_on == 'refined':
            return boxes, scores, self.first(c4, boxes)[2]
        return boxes, scores, embeddings[0][kept]

    def propose(
        self, logits: Tensor, deltas: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """(N, 4) boxes that people are sought in, best first."""
        rule, anchors = self.about.proposals, self.about.anchors
        scores = logits[0].permute(1, 2, 0).flatten().sigmoid()
        order = best(scores, rule.nms_pre)
        torch._check(order.shape[0] >= 1)
        boxes = self.coders['rpn'].decode(
            self.grid(anchors, *logits.shape[2:])[order],
            deltas[0].permute(1, 2, 0).reshape(-1, 4)[order],
            max_shape=size,
        )
        large = ((boxes[:, 2:] - boxes[:, :2]) > rule.min_size).all(dim=1)
        kept = suppress(
            boxes,
            scores[order].where(large, -1.0),
            rule.iou_threshold,
            rule.max_per_img,
        )
        torch._check(kept.shape[0] >= 1)
        return boxes[kept]

    def grid(self, anchors: Anchors, height: int, width: int) -> Tensor:
        """Anchors of all cells, row after row."""
        across, down = anchors.stride
        x = torch.arange(width, device=self.base.device) * float(across)
        y = torch.arange(height, device=self.base.device) * float(down)
        x = x[None, :].expand(height, width)
        y = y[:, None].expand(height, width)
        shift = torch.stack([x, y, x, y], dim=2)
        return (shift[:, :, None] + self.base).reshape(-1, 4)

    def refine(
        self, c4: Tensor, boxes: Tensor, scores: Tensor, size: tuple[int, int]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the second of two heads makes of detections."""
        rule = self.about.second
        logits, deltas, embeddings = self.second(c4, boxes)
        boxes = self.coders['second'].decode(boxes, deltas, max_shape=size)
        if rule.score == 'norm':
            scores = logits.sigmoid()
        kept = suppress(
            boxes,
            scores,
            rule.iou_threshold,
            self.about.detections.max_per_img,
        )
        return boxes[kept], scores[kept], embeddings[kept]
