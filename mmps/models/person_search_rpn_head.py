"""Region proposal network on the C4 map.

Symbols used in this file:
    B, C, H, W  the C4 map
    A           base anchors of a cell
    N           sampled anchors of the mini-batch, all images together
"""

import torch
from mmdet.models.dense_heads import RPNHead
from mmdet.models.utils import unpack_gt_instances
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import ConfigType, InstanceList
from mmengine.structures import InstanceData
from torch import Tensor

from .anchor_choice import select_anchors
from .sampled_boxes import SampledBoxes, mean_over_ranks


@MODELS.register_module()
class PersonSearchRPNHead(RPNHead):
    """mmdet's RPN on one map, which tells the anchors it was trained on.

    Anchors are sampled once a step; whoever adds a loss takes the same ones.
    """

    def loss_and_sampled(
        self,
        feats: tuple[Tensor],
        batch_data_samples: SampleList,
        proposal_cfg: ConfigType,
    ) -> tuple[dict[str, Tensor], InstanceList, SampledBoxes]:
        """Train on sampled anchors, and propose.

        Args:
            feats: One map (B, C, H, W).
            batch_data_samples: With ``gt_instances``.
            proposal_cfg: ``nms_pre``, ``nms``, ``max_per_img``.

        Returns:
            ``loss_rpn_cls`` and ``loss_rpn_bbox``; the proposals of every
            image; the sampled anchors.
        """
        if len(feats) != 1:
            raise ValueError(
                f'person search needs one feature map, got {len(feats)}; '
                'set out_indices=(2,) of the backbone'
            )
        scores, deltas = self(feats)
        losses, sampled = self.loss_of_outputs(
            scores[0], deltas[0], batch_data_samples
        )
        proposals = self.predict_by_feat(
            scores,
            deltas,
            batch_img_metas=[sample.metainfo for sample in batch_data_samples],
            cfg=proposal_cfg,
        )
        return losses, proposals, sampled

    def loss_of_outputs(
        self, scores: Tensor, deltas: Tensor, batch_data_samples: SampleList
    ) -> tuple[dict[str, Tensor], SampledBoxes]:
        """Losses of what the network said.

        Args:
            scores: (B, A, H, W) objectness logits.
            deltas: (B, 4 A, H, W).
            batch_data_samples: With ``gt_instances``.
        """
        gt_instances, gt_ignored, metas = unpack_gt_instances(
            batch_data_samples
        )
        anchors, valid = self.get_anchors(
            [scores.shape[-2:]], metas, device=scores.device
        )
        *targets, count = self.get_targets(
            anchors, valid, gt_instances, metas, gt_ignored
        )
        labels, weights, box_targets, box_weights = (t[0] for t in targets)
        count = mean_over_ranks(count, labels.device)
        loss_cls, loss_bbox = self.loss_by_feat_single(
            scores,
            deltas,
            torch.stack([of_image[0] for of_image in anchors]),
            labels,
            weights,
            box_targets,
            box_weights,
            avg_factor=count,
        )
        where = weights.flatten().nonzero().flatten()
        sampled = SampledBoxes(
            logits=per_anchor(scores, self.cls_out_channels)[where],
            deltas=per_anchor(deltas, 4)[where],
            targets=box_targets.flatten(0, 1)[where],
            positive=labels.flatten()[where] == 0,
            where=where,
            count=count,
        )
        return dict(loss_rpn_cls=loss_cls, loss_rpn_bbox=loss_bbox), sampled

    def forward_single(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """As mmdet's; scores and deltas in float32 also inside autocast.

        In bfloat16 the best two thousand of 36 000 anchors share 83 scores,
        so that the order of proposals would be one of memory places.
        """
        x = self.rpn_conv(x).relu()
        with torch.autocast(x.device.type, enabled=False):
            x = x.to(self.rpn_cls.weight.dtype)
            return self.rpn_cls(x), self.rpn_reg(x)

    def _bbox_post_process(
        self,
        results: InstanceData,
        cfg: ConfigType,
        rescale: bool = False,
        **kwargs,
    ) -> InstanceData:
        """As mmdet's, which suppresses all boxes and keeps the first few."""
        if rescale:
            return super()._bbox_post_process(results, cfg, rescale, **kwargs)
        kept = select_anchors(results.scores, results.bboxes, cfg)
        return InstanceData(
            bboxes=results.bboxes[kept],
            scores=results.scores[kept],
            labels=torch.zeros_like(kept),
        )


def per_anchor(output: Tensor, size: int) -> Tensor:
    """(B, A * size, H, W) to (B * H * W * A, size), mmdet's anchor order."""
    return output.permute(0, 2, 3, 1).reshape(-1, size)
