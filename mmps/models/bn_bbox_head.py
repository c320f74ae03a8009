"""Box regression with batch normalisation behind it."""

from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class BNBBoxHead(BBoxHead):
    """``BBoxHead`` whose deltas pass through BatchNorm.

    Source: Chen et al., "Norm-Aware Embedding for Efficient Person Search",
    CVPR 2020, and Li and Miao, "Sequential End-to-end Network for Efficient
    Person Search", AAAI 2021; both start the layer and its normalisation with
    a spread of 0.01.

    Args:
        kwargs: Of ``BBoxHead``, with one box for all classes; ``with_cls=
            False`` leaves the classes to somebody else.
    """

    def __init__(self, **kwargs) -> None:
        kwargs.setdefault(
            'init_cfg',
            [
                dict(type='Normal', std=0.01, override=dict(name=name))
                for name in ('fc_cls', 'fc_reg', 'bn')
                if name != 'fc_cls' or kwargs.get('with_cls', True)
            ],
        )
        super().__init__(**kwargs)
        self.bn = nn.BatchNorm1d(self.fc_reg.out_features)

    def forward(self, x: Tensor) -> tuple[Tensor | None, Tensor]:
        """(R, C) to (R, 2) logits, None without classes, and (R, 4) deltas."""
        logits, deltas = super().forward(x)
        return logits, self.bn(deltas)
