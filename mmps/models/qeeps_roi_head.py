"""RoI head of a query-guided network: what an RoI is, and whether it is the
query's person.

Symbols used in this file:
    B   pairs of a query and a gallery image
    R   sampled RoIs of the gallery images, all together
    C   channels of the C4 map
    D   size of an embedding
"""

import torch
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox2roi
from mmdet.utils import ConfigType, InstanceList, OptConfigType
from torch import Tensor

from .person_search_roi_head import PersonSearchRoIHead


@MODELS.register_module()
class QEEPSRoIHead(PersonSearchRoIHead):
    """``PersonSearchRoIHead`` with QSimNet between the streams.

    One more test option (``test_cfg.rcnn``): ``similarity``, 'qsim' (the
    default) or 'cosine', which leaves QSimNet out.

    Args:
        sim_head: Config of a ``QSimHead``; without it, pairs are compared by
            the cosine of their embeddings.
        kwargs: Options of ``PersonSearchRoIHead``.
    """

    def __init__(
        self, *, oim_head: ConfigType, sim_head: OptConfigType = None, **kwargs
    ) -> None:
        super().__init__(oim_head=oim_head, **kwargs)
        self.sim_head = None if sim_head is None else MODELS.build(sim_head)
        similarity = (self.test_cfg or {}).get('similarity', 'qsim')
        if similarity not in ('qsim', 'cosine'):
            raise ValueError(
                "test_cfg.rcnn.similarity must be 'qsim' or 'cosine', got "
                f'{similarity!r}'
            )

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """How much RoIs look like the query.

        Args:
            query: (1, D) embedding, of unit length.
            gallery: (R, D).

        Returns:
            (R,) probability of being the same person, or the cosine.
        """
        query = query.expand_as(gallery)
        by_cosine = self.test_cfg.get('similarity') == 'cosine'
        if self.sim_head is None or by_cosine:
            return (query * gallery).sum(dim=1)
        return self.sim_head.similarity(query, gallery)

    def loss_pairs(
        self,
        feats: tuple[Tensor],
        query_regions: Tensor,
        proposals: InstanceList,
        batch_data_samples: SampleList,
        wanted: Tensor,
    ) -> dict[str, Tensor]:
        """Losses of the RoIs of gallery images, and of the query boxes.

        Args:
            feats: One map (B, C, H, W) of the gallery images.
            query_regions: (B, C, h, w) RoI features of the query boxes.
            proposals: One per gallery image, in input pixels.
            batch_data_samples: Annotated samples of the B gallery images.
            wanted: (B,) long; identity rows of the queries.

        Returns:
            ``loss_cls``, ``loss_bbox``, ``loss_oim`` of the gallery,
            ``loss_oim_query``, ``acc`` and, with QSimNet, ``loss_sim``. Both
            OIM losses see the table as it was before the batch.
        """
        sampled = self.sample(feats, proposals, batch_data_samples)
        rois = bbox2roi([result.priors for result in sampled])
        regions = self.bbox_roi_extractor(feats, rois)
        pooled = self.over_cells(
            self.shared_head(torch.cat([regions, query_regions]))
        )
        losses, _ = self.detection_losses(
            *self.bbox_head(pooled[: len(rois)]), rois, sampled
        )
        ids = self.identities(sampled, batch_data_samples)
        embeddings = self.oim_head(pooled)
        gallery, query = embeddings[: len(rois)], embeddings[len(rois) :]
        oim = self.oim_head.loss_oim
        # one copy for three calls, each of which would wait for the GPU
        on_cpu = torch.cat([ids, wanted]).cpu()
        losses['loss_oim'] = oim.compare(gallery, on_cpu[: len(ids)])
        losses['loss_oim_query'] = oim.compare(query, on_cpu[len(ids) :])
        if self.training:
            # the galleries of all processes before the queries of any, as one
            # process has them
            oim.remember(gallery, on_cpu[: len(ids)])
            oim.remember(query, on_cpu[len(ids) :])
        if self.sim_head is not None:
            pair = rois[:, 0].long()
            losses.update(
                self.sim_head.loss(query[pair], gallery, ids, wanted[pair])
            )
        return losses
