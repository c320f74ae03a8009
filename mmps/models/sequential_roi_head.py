"""Detect first, then embed the refined boxes.

Symbols used in this file:
    R       RoIs of the mini-batch, all images together
    S       boxes that the second head is trained on, all images together
    C4, C5  channels of an RoI before and after conv5
    M       detections of one image

Source: Li and Miao, "Sequential End-to-end Network for Efficient Person
Search", AAAI 2021.
"""

import torch
from mmdet.models.task_modules import SamplingResult
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox2roi, scale_boxes
from mmdet.utils import ConfigType, InstanceList
from mmengine.structures import InstanceData
from torch import Tensor

from mmps.ops import nms

from .norm_aware_head import person_logits, vectors_of
from .person_search_roi_head import PersonSearchRoIHead
from .sampled_boxes import SampledBoxes


@MODELS.register_module()
class SequentialRoIHead(PersonSearchRoIHead):
    """``PersonSearchRoIHead`` that detects, and a second head that embeds.

    The first head is the detector alone. The boxes that it has refined go
    through a conv5 of their own, are embedded, scored by the length of the
    embedding and refined once more. What distils a detector (KD_det) takes
    the RPN and the first head.

    Test options (``test_cfg.rcnn``) beside ``score_thr``, ``nms`` and
    ``max_per_img`` of the first head: ``reid_nms=dict(iou_threshold)`` of the
    second one, and ``score``: 'first' (the default and the paper's: that of
    the first head) or 'norm' (that of the second one). ``reid_on`` must be
    'refined'.

    Args:
        shared_head: Config of each conv5.
        bbox_head: Config of a ``BBoxHead`` on (R, C5) vectors.
        reid_bbox_head: In what the second one, a ``BNBBoxHead`` with
            ``with_cls=False``, differs from it.
        oim_head: Config of a ``NormAwareHead``.
        kwargs: Of ``PersonSearchRoIHead``.
    """

    embeds_sampled_rois = False

    def __init__(
        self,
        *,
        shared_head: ConfigType,
        bbox_head: ConfigType,
        reid_bbox_head: ConfigType,
        oim_head: ConfigType,
        **kwargs,
    ) -> None:
        super().__init__(
            shared_head=shared_head,
            bbox_head=bbox_head,
            oim_head=oim_head,
            **kwargs,
        )
        self.reid_stage = MODELS.build(shared_head)
        self.reid_bbox_head = MODELS.build({**bbox_head, **reid_bbox_head})
        options = self.test_cfg or {}
        for name, wanted in (
            ('reid_on', ('refined',)),
            ('score', ('first', 'norm')),
        ):
            value = options.get(name, wanted[0])
            if value not in wanted:
                raise ValueError(
                    f'test_cfg.rcnn.{name} of a SequentialRoIHead must be '
                    f'{" or ".join(map(repr, wanted))}, got {value!r}'
                )

    def reid_vectors(
        self,
        feats: tuple[Tensor],
        rois: Tensor,
        pooled: Tensor | None = None,
    ) -> Tensor:
        """What ``oim_head`` takes of boxes.

        Args:
            feats: One map (B, C4, H, W).
            rois: (S, 5) in input pixels.
            pooled: Of the first head, of no use here.

        Returns:
            (S, C4 + C5).
        """
        regions = self.bbox_roi_extractor(feats, rois)
        return vectors_of(regions, self.over_cells(self.reid_stage(regions)))

    def reid_deltas(self, vectors: Tensor) -> Tensor:
        """(S, 4) deltas of the second head."""
        return self.reid_bbox_head(vectors[:, self.oim_head.in_channels[0] :])[
            1
        ]

    def loss_and_sampled(
        self,
        feats: tuple[Tensor],
        proposals: InstanceList,
        batch_data_samples: SampleList,
    ) -> tuple[dict[str, Tensor], SampledBoxes]:
        """Losses of both heads, and what the first one was trained on.

        Args:
            feats: One map (B, C4, H, W).
            proposals: One per image, with ``bboxes`` in input pixels.
            batch_data_samples: With ``gt_instances`` (``bboxes``, ``labels``,
                ``instances_ids``).

        Returns:
            ``loss_cls``, ``loss_bbox`` and ``acc`` of the first head,
            ``loss_reid_cls``, ``loss_reid_bbox``, ``acc_reid`` and
            ``loss_oim`` of the second; the RoIs of the first.
        """
        sampled = self.sample(feats, proposals, batch_data_samples)
        rois = bbox2roi([result.priors for result in sampled])
        logits, deltas = self.box_branch(self.pool(feats, rois))
        losses, boxes = self.detection_losses(logits, deltas, rois, sampled)
        refined = self._refined(sampled, deltas, batch_data_samples)
        second = self.sample(feats, refined, batch_data_samples)
        losses.update(self._reid_losses(feats, second, batch_data_samples))
        return losses, boxes

    @torch.no_grad()
    def _refined(
        self,
        sampled: list[SamplingResult],
        deltas: Tensor,
        batch_data_samples: SampleList,
    ) -> InstanceList:
        """Boxes of the first head, of the RoIs that it was trained on."""
        sizes = [len(result.priors) for result in sampled]
        return [
            InstanceData(
                bboxes=self.bbox_head.bbox_coder.decode(
                    result.priors,
                    of_image.float(),
                    max_shape=sample.metainfo['img_shape'],
                )
            )
            for result, of_image, sample in zip(
                sampled, deltas.split(sizes), batch_data_samples, strict=True
            )
        ]

    def _reid_losses(
        self,
        feats: tuple[Tensor],
        sampled: list[SamplingResult],
        batch_data_samples: SampleList,
    ) -> dict[str, Tensor]:
        rois = bbox2roi([result.priors for result in sampled])
        vectors = self.reid_vectors(feats, rois)
        embeddings, logits = self.oim_head.embed(vectors)
        losses, _ = self.detection_losses(
            person_logits(logits),
            self.reid_deltas(vectors),
            rois,
            sampled,
            head=self.reid_bbox_head,
        )
        ids = self.identities(sampled, batch_data_samples)
        return dict(
            loss_reid_cls=losses['loss_cls'],
            loss_reid_bbox=losses['loss_bbox'],
            acc_reid=losses['acc'],
            loss_oim=self.oim_head.loss_oim(
                embeddings, ids, self.overlaps(sampled)
            ),
        )

    def predict(
        self,
        feats: tuple[Tensor],
        proposals: InstanceList,
        batch_data_samples: SampleList,
        rescale: bool = False,
    ) -> InstanceList:
        """Detect people, then embed and refine what was found.

        Args:
            feats: One map (B, C4, H, W).
            proposals: One per image, with ``bboxes`` in input pixels.
            batch_data_samples: For their meta information.
            rescale: Whether boxes are returned in original pixels.

        Returns:
            One per image, as of ``PersonSearchRoIHead``; embeddings are
            those of the boxes of the first head.
        """
        rois = bbox2roi([result.bboxes for result in proposals])
        outputs = self.box_branch(self.pool(feats, rois))
        sizes = [len(result) for result in proposals]
        metas = [sample.metainfo for sample in batch_data_samples]
        first = [
            self.detect(boxes[:, 1:], logits, deltas, meta['img_shape'])[0]
            for boxes, logits, deltas, meta in zip(
                rois.split(sizes),
                *(output.split(sizes) for output in outputs),
                metas,
                strict=True,
            )
        ]
        vectors = self.reid_vectors(
            feats, bbox2roi([found.bboxes for found in first])
        )
        embeddings, logits = self.oim_head.embed(vectors)
        deltas = self.reid_deltas(vectors)
        sizes = [len(found) for found in first]
        return [
            self._second(*of_image, rescale)
            for of_image in zip(
                first,
                embeddings.split(sizes),
                logits.split(sizes),
                deltas.split(sizes),
                metas,
                strict=True,
            )
        ]

    def _second(
        self,
        first: InstanceData,
        embeddings: Tensor,
        logits: Tensor,
        deltas: Tensor,
        meta: dict,
        rescale: bool,
    ) -> InstanceData:
        """Detections (M,) of one image, of its boxes after the first head."""
        boxes = self.reid_bbox_head.bbox_coder.decode(
            first.bboxes, deltas.float(), max_shape=meta['img_shape']
        )
        by_norm = self.test_cfg.get('score') == 'norm'
        scores = logits.float().sigmoid() if by_norm else first.scores
        kept = nms(
            boxes,
            scores,
            self.test_cfg.reid_nms.iou_threshold,
            max_num=self.test_cfg.max_per_img,
        )
        if rescale:
            boxes = scale_boxes(boxes, [1 / s for s in meta['scale_factor']])
        return InstanceData(
            bboxes=boxes[kept],
            scores=scores[kept],
            labels=first.labels[kept],
            embeddings=embeddings[kept],
        )
