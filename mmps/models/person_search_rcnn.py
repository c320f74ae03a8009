"""The joint network: Faster R-CNN on C4 with a re-identification branch."""

from collections import defaultdict
from collections.abc import Iterator

from mmdet.models.detectors import TwoStageDetector
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import ConfigType, InstanceList, OptConfigType
from torch import Tensor

from .sampled_boxes import SampledBoxes


@MODELS.register_module()
class PersonSearchRCNN(TwoStageDetector):
    """Faster R-CNN whose RoI head also embeds people.

    ResNet conv1..conv4 (BaseNet) runs once per image, conv5 (ClsIdenNet) on
    every RoI. Source: Xiao et al., "Joint Detection and Identification
    Feature Learning for Person Search", CVPR 2017, section 3.1.

    Args:
        backbone: Config of conv1..conv4, one map out.
        rpn_head: Config of a ``PersonSearchRPNHead``.
        roi_head: Config of a ``PersonSearchRoIHead``.
        train_cfg: Assigners, samplers, proposals to train on.
        test_cfg: Proposals and detections to keep.
        distiller: Config of a module that is told of every training step
            (images, samples, map, sampled anchors and RoIs) and returns the
            losses with its own added, as ``KnowledgeDistiller`` does. It has
            no part in testing, and nothing of it is in the weights.
        data_preprocessor: Config of normalisation and padding.
        init_cfg: How weights start.
    """

    def __init__(
        self,
        backbone: ConfigType,
        rpn_head: ConfigType,
        roi_head: ConfigType,
        train_cfg: ConfigType,
        test_cfg: ConfigType,
        distiller: OptConfigType = None,
        data_preprocessor: OptConfigType = None,
        init_cfg: OptConfigType = None,
    ) -> None:
        super().__init__(
            backbone=backbone,
            rpn_head=rpn_head,
            roi_head=roi_head,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        self.distiller = None
        if distiller is not None:
            self.distiller = MODELS.build(
                {**distiller, 'student_channels': self.rpn_head.in_channels}
            )

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
            and ``loss_oim``; a detector alone has no ``loss_oim``. A
            distiller changes them and adds its own.
        """
        feats = self.extract_feat(batch_inputs)
        losses, proposals, anchors = self.propose(feats, batch_data_samples)
        roi_losses, rois = self.roi_head.loss_and_sampled(
            feats, proposals, batch_data_samples
        )
        losses.update(roi_losses)
        if self.distiller is not None:
            losses = self.distiller(
                batch_inputs, batch_data_samples, feats, anchors, rois, losses
            )
        return losses

    def propose(
        self, feats: tuple[Tensor], batch_data_samples: SampleList
    ) -> tuple[dict[str, Tensor], InstanceList, SampledBoxes]:
        """RPN losses, proposals for the RoI head, and the sampled anchors."""
        return self.rpn_head.loss_and_sampled(
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

        Images of different padded sizes do not see each other's padding:
        what is found does not depend on the batch.

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
        for inputs, samples in _of_one_size(batch_inputs, batch_data_samples):
            feats = self.feats_of(inputs, samples)
            proposals = self.rpn_head.predict(feats, samples, rescale=False)
            found = self.roi_head.predict(
                feats, proposals, samples, rescale=rescale
            )
            self.roi_head.embed_given(feats, samples)
            self.add_pred_to_datasample(samples, found)
        return batch_data_samples

    def embed_people(self, data: dict) -> SampleList:
        """Embed annotated boxes without detecting anyone.

        Args:
            data: A batch of a test set, as for ``test_step``.

        Returns:
            The samples with ``gt_instances.embeddings`` (n, D).
        """
        data = self.data_preprocessor(data, False)
        for inputs, samples in _of_one_size(
            data['inputs'], data['data_samples']
        ):
            self.roi_head.embed_given(self.feats_of(inputs, samples), samples)
        return data['data_samples']

    def feats_of(
        self, batch_inputs: Tensor, batch_data_samples: SampleList
    ) -> tuple[Tensor]:
        """C4 map of images whose padding the samples tell."""
        return self.extract_feat(batch_inputs)


def _of_one_size(
    inputs: Tensor, samples: SampleList
) -> Iterator[tuple[Tensor, SampleList]]:
    """Split a batch by the padded sizes that its images have alone.

    Convolutions near the right and lower border see what is beside the
    image, and a smaller image of a batch has the padding of a larger one
    there.

    Args:
        inputs: (B, 3, H, W).
        samples: B samples, with ``pad_shape`` from the preprocessor; without
            it an image is taken to fill the batch.

    Yields:
        (b, 3, h, w) and the samples.
    """
    rows = defaultdict(list)
    for row, sample in enumerate(samples):
        size = sample.metainfo.get('pad_shape', inputs.shape[-2:])
        rows[tuple(size)].append(row)
    if len(rows) == 1:
        yield inputs, samples
        return
    for (height, width), own in rows.items():
        yield inputs[own, :, :height, :width], [samples[row] for row in own]
