"""The joint network: Faster R-CNN on C4 with a re-identification branch."""

from mmdet.models.detectors import TwoStageDetector
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import InstanceList
from torch import Tensor


@MODELS.register_module()
class PersonSearchRCNN(TwoStageDetector):
    """Faster R-CNN whose RoI head also embeds people.

    ResNet conv1..conv4 (BaseNet) runs once per image, conv5 (ClsIdenNet) on
    every RoI. Source: Xiao et al., "Joint Detection and Identification
    Feature Learning for Person Search", CVPR 2017, section 3.1.
    """

    def loss(
        self, batch_inputs: Tensor, batch_data_samples: SampleList
    ) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            batch_inputs: (B, 3, H, W) float, normalised and padded.
            batch_data_samples: With ``gt_instances`` (``bboxes``, ``labels``,
                ``instances_ids``) in input pixels.

        Returns:
            ``loss_rpn_cls``, ``loss_rpn_bbox``, ``loss_cls``, ``loss_bbox``
            and ``loss_oim``; a detector alone has no ``loss_oim``.
        """
        feats = self.extract_feat(batch_inputs)
        losses, proposals = self.propose(feats, batch_data_samples)
        losses.update(self.roi_head.loss(feats, proposals, batch_data_samples))
        return losses

    def propose(
        self, feats: tuple[Tensor], batch_data_samples: SampleList
    ) -> tuple[dict[str, Tensor], InstanceList]:
        """RPN losses, and the proposals to train the RoI head on."""
        return self.rpn_head.loss_and_predict(
            feats,
            batch_data_samples,
            proposal_cfg=self.train_cfg.rpn_proposal,
        )

    def predict(
        self,
        batch_inputs: Tensor,
        batch_data_samples: SampleList,
        rescale: bool = True,
    ) -> SampleList:
        """Detect and embed people, and embed the boxes that are given.

        Args:
            batch_inputs: (B, 3, H, W) float, normalised and padded.
            batch_data_samples: May hold ``gt_instances`` and
                ``query_instances`` in original pixels.
            rescale: Whether detections are returned in original pixels.

        Returns:
            The samples with ``pred_instances`` (``bboxes``, ``scores``,
            ``labels``, ``embeddings``) and with ``embeddings`` of the given
            boxes.
        """
        feats = self.extract_feat(batch_inputs)
        proposals = self.rpn_head.predict(
            feats, batch_data_samples, rescale=False
        )
        found = self.roi_head.predict(
            feats, proposals, batch_data_samples, rescale=rescale
        )
        self.roi_head.embed_given(feats, batch_data_samples)
        return self.add_pred_to_datasample(batch_data_samples, found)
