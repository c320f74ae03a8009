"""Region proposals that know whom to look for.

Symbols used in this file:
    B           pairs of a query and a gallery image
    C, H, W     the C4 map of the gallery image
    A           base anchors of a cell
    N           sampled anchors of the mini-batch, all pairs together

Source: Munjal et al., "Query-guided End-to-End Person Search", CVPR 2019,
section 3.3 (QRPN).
"""

import torch
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures import SampleList
from mmdet.utils import ConfigType, InstanceList
from mmengine.structures import InstanceData
from torch import Tensor, nn

from .anchor_choice import others_first, select_anchors
from .guidance import mean_of_known, people_scores, query_order
from .person_search_rpn_head import PersonSearchRPNHead, per_anchor
from .query_gate import Gate, hidden_units
from .sampled_boxes import mean_over_ranks


@MODELS.register_module()
class QRPNHead(PersonSearchRPNHead):
    """An RPN with a second score per anchor: is this the query's person?

        gate  = 2 sigmoid(W4 ReLU(W3 norm(GAP(r_q))))    over the C channels
        score = conv1x1(ReLU(conv3x3(gate * F_g)))       one per anchor, no box

    r_q is the RoI feature of the query's box on its own C4 map. Proposals
    come in the order of p_rpn + p_qrpn, with the boxes of the RPN. Anchors are
    assigned and sampled as for the RPN, but to the query's person alone:
    other people are negatives.

    Args:
        query_guided: Whether there is a QRPN; False is the plain RPN.
        gate: Its form, 'centred' or the 'paper' 's, see ``Gate``.
        reduction: Channels of the gate over its hidden units.
        min_hidden: Hidden units, at least.
        merge: 'sum' of both probabilities or their 'product'. The paper
            leaves this open; the sum is this project's choice.
        query_channels: Of the 3x3 convolution; None as in the RPN.
        other_people_first: Whether anchors on other people (IoU >= 0.5) come
            first among the sampled negatives. The paper samples at random,
            which leaves almost none of them in the mini-batch.
        num_samples: Anchors of each gallery image that the query score is
            trained on; None as for the RPN, 256.
        loss_weight: Weight of the query score's loss.
        kwargs: Options of mmdet's ``RPNHead``.
    """

    def __init__(
        self,
        *,
        query_guided: bool = True,
        gate: str = 'centred',
        reduction: int = 16,
        min_hidden: int = 32,
        merge: str = 'sum',
        query_channels: int | None = None,
        other_people_first: bool = False,
        num_samples: int | None = None,
        loss_weight: float = 1.0,
        **kwargs,
    ) -> None:
        if merge not in ('sum', 'product'):
            raise ValueError(
                f"merge must be 'sum' or 'product', got {merge!r}"
            )
        self.query_guided = query_guided
        self.gate_form = gate
        self.reduction, self.min_hidden = reduction, min_hidden
        self.query_channels = query_channels
        super().__init__(**kwargs)
        self.merge = merge
        self.other_people_first = other_people_first
        self.query_weight = loss_weight
        if self.train_cfg:
            sampler = dict(self.train_cfg['sampler'])
            if num_samples is not None:
                sampler['num'] = num_samples
            self.query_sampler = TASK_UTILS.build(
                sampler, default_args=dict(context=self)
            )

    def _init_layers(self) -> None:
        super()._init_layers()
        if not self.query_guided:
            return
        hidden = hidden_units(
            self.in_channels, self.reduction, self.min_hidden
        )
        channels = self.in_channels
        self.gate = Gate(
            channels, channels, hidden, self.gate_form, neutral=False
        )
        units = self.query_channels or self.feat_channels
        self.qrpn_conv = nn.Conv2d(channels, units, 3, padding=1)
        self.qrpn_cls = nn.Conv2d(units, self.num_base_priors, 1)

    def init_weights(self) -> None:
        """As the RPN's, which starts near zero (std 0.01); QRPN with Kaiming.

        The query score must part people who look alike to the RPN, and does
        so far sooner from a start of full size. Its gate is not neutral for
        the same reason: on the 512 channels of a narrow ResNet-50 the score
        stayed blind from a neutral one (docs/qeeps.md).
        """
        super().init_weights()
        if self.query_guided:
            for conv in (self.qrpn_conv, self.qrpn_cls):
                nn.init.kaiming_normal_(conv.weight)
                nn.init.zeros_(conv.bias)

    def query_scores(self, feats: Tensor, query: Tensor) -> Tensor:
        """Score every anchor against the query.

        Args:
            feats: (B, C, H, W) of the gallery images.
            query: (B, C) averages of the queries' RoI features.

        Returns:
            (B, H * W * A) logits in mmdet's anchor order.
        """
        gated = (feats * self.gate(query)[:, :, None, None]).to(feats.dtype)
        logits = self.qrpn_cls(self.qrpn_conv(gated).relu())
        return per_anchor(logits, 1).view(len(feats), -1)

    def loss_pairs(
        self,
        feats: tuple[Tensor],
        query: Tensor,
        targets: list[Tensor],
        batch_data_samples: SampleList,
        proposal_cfg: ConfigType,
    ) -> tuple[dict[str, Tensor], InstanceList]:
        """Train both scores, and propose in the order of their sum.

        Args:
            feats: One map (B, C, H, W) of the gallery images.
            query: (B, C) averages of the queries' RoI features.
            targets: Boxes (k, 4) of the query's person in each gallery image,
                in input pixels.
            batch_data_samples: Annotated samples of the B gallery images.
            proposal_cfg: ``nms_pre``, ``nms``, ``max_per_img``.

        Returns:
            ``loss_rpn_cls``, ``loss_rpn_bbox``, ``loss_qrpn_cls`` and, where
            a gallery image shows other people, ``qrpn_order`` (no loss: see
            ``query_order``); the proposals of every gallery image.
        """
        scores, deltas = self(feats)
        losses, _ = self.loss_of_outputs(
            scores[0], deltas[0], batch_data_samples
        )
        metas = [sample.metainfo for sample in batch_data_samples]
        if not self.query_guided:
            proposals = self.predict_by_feat(
                scores, deltas, batch_img_metas=metas, cfg=proposal_cfg
            )
            return losses, proposals
        logits = self.query_scores(feats[0], query)
        shape = feats[0].shape[-2:]
        losses['loss_qrpn_cls'] = self.query_loss(
            logits, targets, shape, batch_data_samples
        )
        order = self.query_order(logits, shape, batch_data_samples)
        if order is not None:
            losses['qrpn_order'] = order
        proposals = self.propose(
            *self.decode(scores[0], deltas[0], metas), logits, proposal_cfg
        )
        return losses, proposals

    def query_loss(
        self,
        logits: Tensor,
        targets: list[Tensor],
        shape: tuple[int, int],
        batch_data_samples: SampleList,
    ) -> Tensor:
        """Binary cross entropy on anchors sampled around the query's person.

        Args:
            logits: (B, H * W * A).
            targets: (k, 4) for each pair.
            shape: H and W.
            batch_data_samples: Annotated samples of the B gallery images.
        """
        metas = [sample.metainfo for sample in batch_data_samples]
        anchors, valid = self.get_anchors([shape], metas, logits.device)
        chosen, labels = [], []
        for pair, boxes in enumerate(targets):
            inside = valid[pair][0].bool()
            priors = InstanceData(priors=anchors[pair][0][inside])
            people = InstanceData(
                bboxes=boxes, labels=boxes.new_zeros(len(boxes)).long()
            )
            assigned = self.assigner.assign(priors, people)
            result = self.query_sampler.sample(assigned, priors, people)
            negative = result.neg_inds
            if self.other_people_first:
                everyone = batch_data_samples[pair].gt_instances.bboxes
                negative = others_first(
                    assigned.gt_inds, priors.priors, everyone, negative
                )
            rows = torch.cat([result.pos_inds, negative])
            chosen.append(logits[pair][inside][rows])
            labels.append(torch.zeros_like(chosen[-1]))
            labels[-1][: len(result.pos_inds)] = 1
        chosen, labels = torch.cat(chosen).float(), torch.cat(labels).float()
        loss = nn.functional.binary_cross_entropy_with_logits(
            chosen, labels, reduction='sum'
        )
        count = mean_over_ranks(len(chosen), logits.device)
        return self.query_weight * loss / max(count, 1)

    @torch.no_grad()
    def query_order(
        self,
        logits: Tensor,
        shape: tuple[int, int],
        batch_data_samples: SampleList,
    ) -> Tensor | None:
        """How often the query's person scores above another of the image.

        Args:
            logits: (B, H * W * A).
            shape: H and W.
            batch_data_samples: Of the gallery images, with ``pair_identity``
                and ``gt_instances`` in input pixels.

        Returns:
            Mean over the images that show the person and somebody else, None
            if there is none.
        """
        metas = [sample.metainfo for sample in batch_data_samples]
        anchors, _ = self.get_anchors([shape], metas, logits.device)
        orders = []
        for pair, sample in enumerate(batch_data_samples):
            people = sample.gt_instances
            scores = people_scores(
                logits[pair].float(), anchors[pair][0], people.bboxes
            )
            wanted = people.instances_ids == sample.pair_identity
            orders.append(query_order(scores, wanted))
        return mean_of_known(orders)

    def merged(self, scores: Tensor, query_logits: Tensor) -> Tensor:
        """Probability of a person and of the query's person, put together."""
        rpn, query = scores.float().sigmoid(), query_logits.float().sigmoid()
        return rpn + query if self.merge == 'sum' else rpn * query

    @torch.no_grad()
    def anchors_of(
        self, feats: tuple[Tensor], metas: list[dict]
    ) -> tuple[Tensor, Tensor]:
        """What the RPN says of every anchor, whoever is looked for.

        Args:
            feats: One map (B, C, H, W).
            metas: Metainfo of each image, with ``img_shape``.

        Returns:
            (B, H * W * A) objectness logits; (B, H * W * A, 4) boxes in input
            pixels, cut off at the image.
        """
        scores, deltas = self(feats)
        return self.decode(scores[0], deltas[0], metas)

    @torch.no_grad()
    def decode(
        self, scores: Tensor, deltas: Tensor, metas: list[dict]
    ) -> tuple[Tensor, Tensor]:
        """(B, A, H, W) and (B, 4 A, H, W) to the results of ``anchors_of``."""
        anchors, _ = self.get_anchors(
            [scores.shape[-2:]], metas, scores.device
        )
        deltas = per_anchor(deltas, 4).view(len(metas), -1, 4)
        boxes = [
            self.bbox_coder.decode(
                of_image[0], delta.float(), max_shape=meta['img_shape']
            )
            for of_image, delta, meta in zip(
                anchors, deltas, metas, strict=True
            )
        ]
        return per_anchor(scores, 1).view(len(metas), -1), torch.stack(boxes)

    @torch.no_grad()
    def propose(
        self,
        scores: Tensor,
        boxes: Tensor,
        query_logits: Tensor,
        cfg: ConfigType,
    ) -> InstanceList:
        """Proposals in the order of the merged scores.

        Args:
            scores: (B, n) objectness logits of all anchors.
            boxes: (B, n, 4) in input pixels.
            query_logits: (B, n).
            cfg: Test options of the RPN, as of ``select_anchors``.
        """
        found = []
        for score, box in zip(
            self.merged(scores, query_logits), boxes, strict=True
        ):
            kept = select_anchors(score, box, cfg)
            found.append(
                InstanceData(
                    bboxes=box[kept],
                    scores=score[kept],
                    labels=torch.zeros_like(kept),
                )
            )
        return found
