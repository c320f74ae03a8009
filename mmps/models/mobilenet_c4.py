"""MobileNetV2 as BaseNet: the layers up to stride 16 and no others.

Source: Sandler et al., "MobileNetV2: Inverted Residuals and Linear
Bottlenecks", CVPR 2018, arXiv 1801.04381, Table 2.
"""

from mmdet.models.backbones import MobileNetV2
from mmdet.registry import MODELS
from mmdet.utils import ConfigType, OptMultiConfig

#: Index of the last layer of stride 16 among those of mmdet.
_LAST = 4


@MODELS.register_module()
class MobileNetV2C4(MobileNetV2):
    """mmdet's ``MobileNetV2`` without the layers behind its only output.

    mmdet's own runs all layers, whatever ``out_indices`` says. Those of
    stride 32 would cost time here and would never be trained. Names of the
    parameters are those of mmdet.

    Args:
        widen_factor: Factor on the channels; 1 gives a map of 96.
        frozen_stages: Layers whose weights stay; -1 for none.
        norm_cfg: Config of the normalisation layers.
        norm_eval: Whether BatchNorm keeps its statistics in training.
        with_cp: Whether activations are computed again in the backward pass.
        init_cfg: How weights start; by default as mmdet's ``MobileNetV2``
            (Kaiming).
    """

    def __init__(
        self,
        widen_factor: float = 1.0,
        frozen_stages: int = -1,
        norm_cfg: ConfigType = dict(type='BN', requires_grad=True),  # noqa: B006
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: OptMultiConfig = None,
    ) -> None:
        super().__init__(
            widen_factor=widen_factor,
            out_indices=(_LAST,),
            frozen_stages=frozen_stages,
            norm_cfg=norm_cfg,
            norm_eval=norm_eval,
            with_cp=with_cp,
            init_cfg=init_cfg,
        )
        for name in self.layers[_LAST + 1 :]:
            delattr(self, name)
        del self.layers[_LAST + 1 :]

    def train(self, mode: bool = True) -> 'MobileNetV2C4':
        """Switch the mode; mmdet's own returns nothing."""
        super().train(mode)
        return self
