"""Similarity of a query and a person of the gallery, learnt.

Symbols used in this file:
    n   pairs of embeddings
    D   size of an embedding

Source: Munjal et al., "Query-guided End-to-End Person Search", CVPR 2019,
section 3.4 (QSimNet).
"""

import torch
import torch.nn.functional as F
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmps.structures import BACKGROUND

from .guidance import mean_of_known, query_order
from .sampled_boxes import mean_over_ranks


@MODELS.register_module()
class QSimHead(BaseModule):
    """Two-class classifier of the squared difference of two embeddings.

        d = (q - g)^2  ->  BatchNorm1d(D)  ->  Linear(D, 2)  ->  softmax

    The linear layer starts as a distance: every element of d counts the same,
    against 'same'. This is our choice; trained from PyTorch's random start
    the network searched worse (docs/qeeps.md).

    Args:
        feat_dim: D.
        negatives: Sampled negatives for each positive, at most. Other people
            come first, background after them; this is this project's choice.
        loss_weight: Factor on the loss.
    """

    def __init__(
        self,
        feat_dim: int = 256,
        negatives: int = 3,
        loss_weight: float = 1.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.norm = nn.BatchNorm1d(feat_dim)
        self.fc = nn.Linear(feat_dim, 2)
        # spread of the logits over pairs about 1, as BatchNorm's is
        other, same = self.fc.weight.data
        nn.init.constant_(other, feat_dim**-0.5)
        nn.init.constant_(same, -(feat_dim**-0.5))
        nn.init.zeros_(self.fc.bias)
        self.negatives = negatives
        self.loss_weight = loss_weight

    def forward(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(n, D) and (n, D), of unit length, to (n, 2) logits: other, same."""
        dtype = self.fc.weight.dtype
        with torch.autocast(query.device.type, enabled=False):
            query, gallery = query.to(dtype), gallery.to(dtype)
            return self.fc(self.norm((query - gallery).square()))

    def similarity(self, query: Tensor, gallery: Tensor) -> Tensor:
        """(n,) probability of being the same person."""
        return self(query, gallery).softmax(dim=1)[:, 1]

    def loss(
        self, query: Tensor, gallery: Tensor, ids: Tensor, wanted: Tensor
    ) -> dict[str, Tensor]:
        """Cross entropy of sampled RoIs.

        Args:
            query: (R, D) embedding of the query of each RoI's pair.
            gallery: (R, D) of the RoIs.
            ids: (R,) long; whom the RoI shows: identity row, ``UNLABELED`` or
                ``BACKGROUND``.
            wanted: (R,) long; identity row of the query.

        Returns:
            ``loss_sim``, a scalar; where somebody else is among the sampled
            RoIs, ``qsim_order`` (no loss): how often an RoI of the query's
            person is more similar than one of somebody else.
        """
        rows = self.sample(ids, wanted)
        if self.training and len(rows) == 1:  # no statistics of one
            rows = rows[:0]
        logits = self(query[rows], gallery[rows])
        same = (ids[rows] == wanted[rows]).long()
        count = mean_over_ranks(len(rows), logits.device)
        loss = F.cross_entropy(logits, same, reduction='sum')
        losses = dict(loss_sim=self.loss_weight * loss / max(count, 1))
        order = self.order(logits.detach(), ids[rows], wanted[rows])
        if order is not None:
            losses['qsim_order'] = order
        return losses

    @staticmethod
    def order(logits: Tensor, ids: Tensor, wanted: Tensor) -> Tensor | None:
        """``order_share`` of (n, 2) logits, mean over the persons wanted."""
        people = ids != BACKGROUND
        margin = logits[:, 1] - logits[:, 0]
        orders = [
            query_order(margin[asked], (ids == person)[asked])
            for person in wanted.unique()
            for asked in [people & (wanted == person)]
        ]
        return mean_of_known(orders)

    def sample(self, ids: Tensor, wanted: Tensor) -> Tensor:
        """Rows of all positives, and of at most ``negatives`` for each.

        Without a positive, ``negatives`` rows are taken all the same.
        """
        same = ids == wanted
        draw = torch.randperm(len(ids), device=ids.device)
        other = draw[(~same & (ids != BACKGROUND))[draw]]
        background = draw[(ids == BACKGROUND)[draw]]
        limit = self.negatives * max(int(same.sum()), 1)
        negatives = torch.cat([other, background])[:limit]
        return torch.cat([same.nonzero().flatten(), negatives])
