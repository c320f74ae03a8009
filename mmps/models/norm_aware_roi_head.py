"""RoI head whose person score is the length of the embedding.

Symbols used in this file:
    R       RoIs of the mini-batch, all images together
    C4, C5  channels of an RoI before and after conv5
"""

from dataclasses import replace

from mmdet.models.task_modules import SamplingResult
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from torch import Tensor

from .norm_aware_head import person_logits, vectors_of
from .person_search_roi_head import PersonSearchRoIHead
from .sampled_boxes import SampledBoxes


@MODELS.register_module()
class NormAwareRoIHead(PersonSearchRoIHead):
    """``PersonSearchRoIHead`` without a classifier of its own.

    Its ``oim_head`` is a ``NormAwareHead``, whose logit of an RoI is that of
    being a person, and its ``bbox_head`` a ``BNBBoxHead`` with
    ``with_cls=False``. Source: Chen et al., "Norm-Aware Embedding for
    Efficient Person Search", CVPR 2020.
    """

    def pool(self, feats: tuple[Tensor], rois: Tensor) -> Tensor:
        """(R, 5) RoIs in input pixels to (R, C4 + C5) vectors."""
        regions = self.bbox_roi_extractor(feats, rois)
        return vectors_of(regions, self.over_cells(self.shared_head(regions)))

    def box_branch(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """(R, C4 + C5) vectors to (R, 2) logits and (R, 4) deltas."""
        _, logits = self.oim_head.embed(pooled)
        return person_logits(logits), self._deltas(pooled)

    def _deltas(self, pooled: Tensor) -> Tensor:
        return self.bbox_head(pooled[:, self.oim_head.in_channels[0] :])[1]

    def branch_losses(
        self,
        pooled: Tensor,
        rois: Tensor,
        sampled: list[SamplingResult],
        batch_data_samples: SampleList,
    ) -> tuple[dict[str, Tensor], SampledBoxes]:
        """As the other's; the embedding is taken once for both losses."""
        embeddings, logits = self.oim_head.embed(pooled)
        losses, boxes = self.detection_losses(
            person_logits(logits), self._deltas(pooled), rois, sampled
        )
        ids = self.identities(sampled, batch_data_samples)
        losses['loss_oim'] = self.oim_head.loss_oim(
            embeddings, ids, self.overlaps(sampled)
        )
        return losses, replace(boxes, embeddings=embeddings)
