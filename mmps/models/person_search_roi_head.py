"""RoI head of a person search network: class, box and embedding of an RoI.

Symbols used in this file:
    R   RoIs of the mini-batch, all images together
    C   channels after conv5
    D   embedding size
    M   detections of one image
"""

from dataclasses import replace

import torch
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.task_modules import SamplingResult
from mmdet.models.utils import unpack_gt_instances
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox2roi, bbox_overlaps, scale_boxes
from mmdet.utils import ConfigType, InstanceList, OptConfigType
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmps.ops import nms
from mmps.structures import BACKGROUND

from .sampled_boxes import SampledBoxes, mean_over_ranks


@MODELS.register_module()
class PersonSearchRoIHead(StandardRoIHead):
    """conv5 on every RoI, one vector of it, and three branches on top.

    A ``TwoFCHead`` may take the place of conv5.

    Test options (``test_cfg.rcnn``): ``score_thr``, ``nms=dict(
    iou_threshold)``, ``max_per_img`` and ``reid_on``: 'proposal' takes the
    embedding on the proposal, before regression, as Xiao et al. do;
    'refined' pools the regressed boxes once more.

    Args:
        bbox_roi_extractor: Config of the RoI extractor.
        shared_head: Config of conv5 (``ResConv5``) or of a ``TwoFCHead``.
        bbox_head: Config of a ``BBoxHead`` on (R, C) vectors.
        oim_head: Config of the re-identification branch; without it this is
            the detector alone.
        pool: 'mean' or 'max': what makes one vector of the cells of an RoI.
        train_cfg: Assigner and sampler.
        test_cfg: Test options, above.
    """

    #: Whether its losses embed the very RoIs that the detector is trained on.
    embeds_sampled_rois = True

    def __init__(
        self,
        bbox_roi_extractor: ConfigType,
        shared_head: ConfigType,
        bbox_head: ConfigType,
        oim_head: OptConfigType = None,
        pool: str = 'mean',
        train_cfg: OptConfigType = None,
        test_cfg: OptConfigType = None,
    ) -> None:
        super().__init__(
            bbox_roi_extractor=bbox_roi_extractor,
            shared_head=shared_head,
            bbox_head=bbox_head,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
        )
        self.oim_head = None if oim_head is None else MODELS.build(oim_head)
        if pool not in ('mean', 'max'):
            raise ValueError(
                f"roi_head.pool must be 'mean' or 'max', got {pool!r}"
            )
        self.pooling = pool
        reid_on = (test_cfg or {}).get('reid_on', 'proposal')
        if reid_on not in ('proposal', 'refined'):
            raise ValueError(
                "test_cfg.rcnn.reid_on must be 'proposal' or 'refined', got "
                f'{reid_on!r}'
            )

    def pool(self, feats: tuple[Tensor], rois: Tensor) -> Tensor:
        """(R, 5) RoIs in input pixels to (R, C) vectors after conv5."""
        return self.over_cells(
            self.shared_head(self.bbox_roi_extractor(feats, rois))
        )

    def over_cells(self, regions: Tensor) -> Tensor:
        """(R, C, h, w) to (R, C): the mean or the maximum of the cells."""
        if self.pooling == 'max':
            return regions.amax(dim=(2, 3))
        return regions.mean(dim=(2, 3))

    def box_branch(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """(R, C) vectors to (R, 2) logits and (R, 4) deltas."""
        return self.bbox_head(pooled)

    def reid_vectors(
        self,
        feats: tuple[Tensor],
        rois: Tensor,
        pooled: Tensor | None = None,
    ) -> Tensor:
        """What ``oim_head`` takes of boxes.

        Args:
            feats: One map (B, C4, H, W).
            rois: (R, 5) in input pixels.
            pooled: (R, C) what ``pool`` gives of them, if that is known.

        Returns:
            (R, C).
        """
        return self.pool(feats, rois) if pooled is None else pooled

    def loss(
        self,
        feats: tuple[Tensor],
        proposals: InstanceList,
        batch_data_samples: SampleList,
    ) -> dict[str, Tensor]:
        """Losses of the sampled RoIs, see ``loss_and_sampled``."""
        return self.loss_and_sampled(feats, proposals, batch_data_samples)[0]

    def loss_and_sampled(
        self,
        feats: tuple[Tensor],
        proposals: InstanceList,
        batch_data_samples: SampleList,
    ) -> tuple[dict[str, Tensor], SampledBoxes]:
        """Losses of the sampled RoIs, and these RoIs.

        Args:
            feats: One map (B, C4 channels, H, W).
            proposals: One per image, with ``bboxes`` in input pixels.
            batch_data_samples: With ``gt_instances`` (``bboxes``, ``labels``,
                ``instances_ids``).

        Returns:
            ``loss_cls``, ``loss_bbox``, ``acc`` (percent, no loss) and, with
            a re-identification branch, ``loss_oim``; what they are taken on.
        """
        sampled = self.sample(feats, proposals, batch_data_samples)
        rois = bbox2roi([result.priors for result in sampled])
        return self.branch_losses(
            self.pool(feats, rois), rois, sampled, batch_data_samples
        )

    def branch_losses(
        self,
        pooled: Tensor,
        rois: Tensor,
        sampled: list[SamplingResult],
        batch_data_samples: SampleList,
    ) -> tuple[dict[str, Tensor], SampledBoxes]:
        """Losses of (R, C) vectors of sampled RoIs; ``loss_and_sampled``."""
        losses, boxes = self.detection_losses(
            *self.box_branch(pooled), rois, sampled
        )
        if self.oim_head is not None:
            ids = self.identities(sampled, batch_data_samples)
            reid, embeddings = self.oim_head.loss(
                pooled, ids, self.overlaps(sampled)
            )
            losses.update(reid)
            boxes = replace(boxes, embeddings=embeddings)
        return losses, boxes

    def detection_losses(
        self,
        logits: Tensor,
        deltas: Tensor,
        rois: Tensor,
        sampled: list[SamplingResult],
        head: nn.Module | None = None,
    ) -> tuple[dict[str, Tensor], SampledBoxes]:
        """Class and box losses of (R, 2) logits and (R, 4) deltas.

        Args:
            logits: Person and background.
            deltas: In the units of the head's box coder.
            rois: (R, 5) in input pixels.
            sampled: Of each image, what the RoIs are.
            head: Whose losses and coder count, in place of ``bbox_head``.
        """
        head = self.bbox_head if head is None else head
        targets = head.get_targets(sampled, self.train_cfg)
        losses = head.loss(logits, deltas, rois, *targets)
        count = mean_over_ranks(len(rois), rois.device)
        if count != len(rois):
            for key in losses.keys() & {'loss_cls', 'loss_bbox'}:
                losses[key] = losses[key] * (len(rois) / count)
        labels, _, box_targets, _ = targets
        return losses, SampledBoxes(
            logits=logits,
            deltas=deltas,
            targets=box_targets,
            positive=labels == 0,
            where=rois,
            count=count,
        )

    def sample(
        self,
        feats: tuple[Tensor],
        proposals: InstanceList,
        batch_data_samples: SampleList,
    ) -> list[SamplingResult]:
        """Assign proposals to people and draw the RoIs to train on."""
        gt_instances, gt_ignored, _ = unpack_gt_instances(batch_data_samples)
        sampled = []
        for i, gt in enumerate(gt_instances):
            priors = InstanceData(priors=proposals[i].bboxes)
            assigned = self.bbox_assigner.assign(priors, gt, gt_ignored[i])
            sampled.append(
                self.bbox_sampler.sample(
                    assigned, priors, gt, feats=[f[i][None] for f in feats]
                )
            )
        return sampled

    @staticmethod
    def identities(
        sampled: list[SamplingResult], batch_data_samples: SampleList
    ) -> Tensor:
        """(R,) long: whom each sampled RoI shows, ``BACKGROUND`` if no one."""
        ids = []
        for result, sample in zip(sampled, batch_data_samples, strict=True):
            of_gt = sample.gt_instances.instances_ids.long()
            ids.append(of_gt[result.pos_assigned_gt_inds])
            ids.append(of_gt.new_full((len(result.neg_priors),), BACKGROUND))
        return torch.cat(ids)

    def overlaps(self, sampled: list[SamplingResult]) -> Tensor | None:
        """(R,) IoU of each sampled RoI with its person, 0 for background.

        None if the OIM loss has no use for them.
        """
        if not self.oim_head.loss_oim.needs_overlaps:
            return None
        parts = []
        for result in sampled:
            parts.append(
                bbox_overlaps(
                    result.pos_priors, result.pos_gt_bboxes, is_aligned=True
                )
            )
            parts.append(parts[-1].new_zeros(len(result.neg_priors)))
        return torch.cat(parts)

    def predict(
        self,
        feats: tuple[Tensor],
        proposals: InstanceList,
        batch_data_samples: SampleList,
        rescale: bool = False,
    ) -> InstanceList:
        """Detect people and embed them.

        Args:
            feats: One map (B, C4 channels, H, W).
            proposals: One per image, with ``bboxes`` in input pixels.
            batch_data_samples: For their meta information.
            rescale: Whether boxes are returned in original pixels.

        Returns:
            One per image: ``bboxes`` (M, 4), ``scores`` (M,), ``labels`` (M,)
            all 0 and, with a re-identification branch, ``embeddings`` (M, D)
            of unit length; in falling score.
        """
        rois = bbox2roi([result.bboxes for result in proposals])
        pooled = self.pool(feats, rois)
        cls_scores, bbox_preds = self.box_branch(pooled)
        sizes = [len(result) for result in proposals]
        found = []
        for i, (roi, cls_score, bbox_pred, vectors) in enumerate(
            zip(
                rois.split(sizes),
                cls_scores.split(sizes),
                bbox_preds.split(sizes),
                pooled.split(sizes),
                strict=True,
            )
        ):
            meta = batch_data_samples[i].metainfo
            result, kept = self.detect(
                roi[:, 1:], cls_score, bbox_pred, meta['img_shape']
            )
            if self.oim_head is not None:
                vectors = vectors[kept]
                if self.test_cfg.get('reid_on') == 'refined':
                    vectors = self.reid_vectors(
                        (feats[0][i : i + 1],), bbox2roi([result.bboxes])
                    )
                result.embeddings = self.oim_head(vectors)
            if rescale:
                result.bboxes = scale_boxes(
                    result.bboxes, [1 / s for s in meta['scale_factor']]
                )
            found.append(result)
        return found

    def detect(
        self,
        boxes: Tensor,
        cls_score: Tensor,
        bbox_pred: Tensor,
        img_shape: tuple[int, int],
        score_thr: float | None = None,
    ) -> tuple[InstanceData, Tensor]:
        """Decode, cut and suppress the RoIs of one image.

        Args:
            boxes: (R, 4) in input pixels.
            cls_score: (R, 2) logits.
            bbox_pred: (R, 4) deltas.
            img_shape: Height and width of the image.
            score_thr: Minimum score, in place of that of ``test_cfg``.

        Returns:
            The detections in input pixels, and (M,) their rows in ``boxes``.
        """
        cfg = self.test_cfg
        scores = cls_score.float().softmax(dim=1)[:, 0]
        decoded = self.bbox_head.bbox_coder.decode(
            boxes, bbox_pred.float(), max_shape=img_shape
        )
        if score_thr is None:
            score_thr = cfg.score_thr
        kept = torch.nonzero(scores >= score_thr).flatten()
        order = nms(
            decoded[kept],
            scores[kept],
            cfg.nms.iou_threshold,
            max_num=cfg.max_per_img,
        )
        kept = kept[order]
        result = InstanceData(
            bboxes=decoded[kept],
            scores=scores[kept],
            labels=torch.zeros_like(kept),
        )
        return result, kept

    def embed_given(
        self, feats: tuple[Tensor], batch_data_samples: SampleList
    ) -> None:
        """Embed boxes that are given: annotations and queries of a test set.

        Sets ``embeddings`` (n, D) of ``gt_instances`` and
        ``query_instances`` where a sample has them; their boxes are in
        original pixels.

        Args:
            feats: One map (B, C4 channels, H, W).
            batch_data_samples: Changed in place.
        """
        given = [
            (i, sample.get(field))
            for i, sample in enumerate(batch_data_samples)
            for field in ('gt_instances', 'query_instances')
            if field in sample and 'bboxes' in sample.get(field)
        ]
        if self.oim_head is None or not given:
            return
        rois = []
        for i, instances in given:
            boxes = instances.bboxes.to(feats[0].device, torch.float32)
            factor = batch_data_samples[i].metainfo['scale_factor']
            rois.append(
                torch.cat(
                    [
                        boxes.new_full((len(boxes), 1), i),
                        scale_boxes(boxes, factor),
                    ],
                    dim=1,
                )
            )
        embeddings = self.oim_head(self.reid_vectors(feats, torch.cat(rois)))
        sizes = [len(instances) for _, instances in given]
        for (_, instances), part in zip(
            given, embeddings.split(sizes), strict=True
        ):
            instances.embeddings = part
