"""QEEPS: the query guides the search from the first block on.

Symbols used in this file:
    B   pairs of a query and a gallery image
    C   channels of the C4 map

Source: Munjal et al., "Query-guided End-to-End Person Search", CVPR 2019.
"""

import torch
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.structures.bbox import bbox2roi
from torch import Tensor

from .guidance import spread
from .pair_search import PairSearcher
from .person_search_rcnn import PersonSearchRCNN


@MODELS.register_module()
class QEEPS(PersonSearchRCNN):
    """Two streams of shared weights, one for each image of a pair.

        query   -> QSSE-BaseNet -> RoI feature of the box -> conv5 -> q
        gallery -> QSSE-BaseNet -> RPN + QRPN -> RoIs -> conv5 -> class, box, g
        similarity = QSimNet(q, g)

    Backbone ``QSSEResNet``, RPN ``QRPNHead`` and RoI head ``QEEPSRoIHead``;
    each of the three guided parts can be switched off there.

    A batch of B pairs holds 2 B images: all queries, then all gallery images
    (``collate_pairs``). Their samples have ``pair_identity`` in the metainfo,
    the identity row that both share.

    Single images (``predict``) pass neither QRPN nor QSimNet; which gates
    they get is ``backbone.single``.
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        if self.distiller is not None:
            raise ValueError(
                'QEEPS has no distiller: a query-guided student learns from '
                'a frozen lookup table (FrozenLUTHook)'
            )

    def loss(
        self, batch_inputs: Tensor, batch_data_samples: SampleList
    ) -> dict[str, Tensor]:
        """Losses of a batch of pairs.

        Args:
            batch_inputs: (2 B, 3, H, W), normalised and padded.
            batch_data_samples: 2 B samples, with ``gt_instances``.

        Returns:
            ``loss_rpn_cls``, ``loss_rpn_bbox``, ``loss_qrpn_cls``,
            ``loss_cls``, ``loss_bbox``, ``loss_oim``, ``loss_oim_query`` and
            ``loss_sim``; ``acc`` (percent) and what shows that the network
            looks at its query (``guidance.py``): ``gate_spread``,
            ``qrpn_order``, ``qsim_order``.

        Raises:
            ValueError: The batch holds no pairs, or an image of a pair does
                not show the shared person.
        """
        half = len(batch_data_samples) // 2
        queries = batch_data_samples[:half]
        gallery = batch_data_samples[half:]
        check_pairs(queries, gallery)
        wanted = torch.tensor(
            [sample.pair_identity for sample in queries],
            device=batch_inputs.device,
        )
        boxes = [people_wanted(s)[:1] for s in queries]
        targets = [people_wanted(s) for s in gallery]
        averages = []
        query_map, gallery_map = self.backbone.forward_pairs(
            batch_inputs[:half],
            batch_inputs[half:],
            (image_sizes(queries), image_sizes(gallery)),
            torch.cat(boxes),
            averages,
        )
        regions = self.roi_head.bbox_roi_extractor(
            (query_map,), bbox2roi(boxes)
        )
        feats = (gallery_map,)
        losses, proposals = self.rpn_head.loss_pairs(
            feats,
            regions.mean(dim=(2, 3)),
            targets,
            gallery,
            self.train_cfg.rpn_proposal,
        )
        losses.update(
            self.roi_head.loss_pairs(
                feats, regions, proposals, gallery, wanted
            )
        )
        if averages and half > 1:
            gates = self.backbone.gates_of_queries(averages)
            losses['gate_spread'] = torch.stack(
                [spread(of_block) for of_block in gates]
            ).mean()
        return losses

    def feats_of(
        self, batch_inputs: Tensor, batch_data_samples: SampleList
    ) -> tuple[Tensor]:
        """C4 map of single images, see ``QSSEResNet.single``."""
        sizes = image_sizes(batch_data_samples)
        return (self.backbone.plain_features(batch_inputs, sizes),)

    def pair_searcher(self, score_thr: float, cache_mb: float):
        """Return what runs pairs at test time, with a bounded cache."""
        return PairSearcher(self, score_thr, cache_mb)

    def pair_settings(self) -> dict:
        """What the result of a pair depends on beside the weights."""
        return dict(
            rpn=dict(self.rpn_head.test_cfg),
            rcnn=dict(self.roi_head.test_cfg),
            merge=self.rpn_head.merge,
        )


def check_pairs(queries: SampleList, gallery: SampleList) -> None:
    """Refuse images that were not paired, or not with each other."""
    for sample in (*queries, *gallery):
        if 'pair_identity' not in sample:
            raise ValueError(
                f'{sample.img_path} is not part of a pair; QEEPS trains on a '
                'QueryGalleryPairs, with '
                "collate_fn=dict(type='collate_pairs')"
            )
    if len(queries) != len(gallery):
        raise ValueError(
            f'{len(queries)} query images and {len(gallery)} gallery images '
            "do not form pairs; use collate_fn=dict(type='collate_pairs')"
        )
    for query, other in zip(queries, gallery, strict=True):
        if query.pair_identity != other.pair_identity:
            raise ValueError(
                f'{query.img_path} and {other.img_path} share no identity: '
                f'they were paired for {query.pair_identity} and '
                f'{other.pair_identity}; a batch holds all queries and then, '
                'in the same order, all gallery images (collate_fn='
                "dict(type='collate_pairs'))"
            )


def people_wanted(sample) -> Tensor:
    """Boxes (k, 4) of the shared person in an image of a pair, k >= 1."""
    people = sample.gt_instances
    boxes = people.bboxes[people.instances_ids == sample.pair_identity]
    if not len(boxes):
        raise ValueError(
            f'{sample.img_path}: does not show identity '
            f'{sample.pair_identity}, for which it was paired; a transform '
            'has dropped the box'
        )
    return boxes


def image_sizes(samples: SampleList) -> list[tuple[int, int]]:
    """Height and width of every image inside its padding."""
    return [tuple(sample.metainfo['img_shape'][:2]) for sample in samples]
