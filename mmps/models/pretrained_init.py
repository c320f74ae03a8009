"""Start a part of the network from a file of the whole ImageNet classifier."""

from mmengine.logging import print_log
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from mmps.errors import InputError


class _PretrainedPart:
    """Takes what the module has, knows the rest, refuses anything else.

    mmengine's ``Pretrained`` ignores missing keys and warns about the rest.
    """

    #: What the network is called in messages.
    network: str
    #: What the file may hold besides the module's own keys.
    parts: tuple[str, ...]
    #: The keys of a config that name the file.
    keys: str
    #: Options of the config that must agree with the file.
    options: str

    def __init__(self, checkpoint: str) -> None:
        self.checkpoint = checkpoint

    def __call__(self, module: nn.Module) -> None:
        """Copy the weights into the module, in place.

        Raises:
            InputError: The file cannot be had; names the keys of a config.
            ValueError: A weight of the module is missing in the file or has
                another shape, or the file holds more than the network.
        """
        try:
            loaded = CheckpointLoader.load_checkpoint(
                self.checkpoint, map_location='cpu'
            )
        except InputError as error:
            keys = f'A path belongs into {self.keys}'
            hint = f'{error.hint}. {keys}' if error.hint else keys
            raise InputError(error.file, error.problem, hint) from error
        loaded = loaded.get('state_dict', loaded)
        own = module.state_dict()
        missing = [
            key
            for key in own
            if key not in loaded and not key.endswith('num_batches_tracked')
        ]
        strange = [
            key
            for key in loaded
            if key not in own and not key.startswith(self.parts)
        ]
        differing = [
            f'{key} {tuple(loaded[key].shape)}, not {tuple(value.shape)}'
            for key, value in own.items()
            if key in loaded and loaded[key].shape != value.shape
        ]
        if missing or strange or differing:
            raise ValueError(
                f'{self.checkpoint} is no {self.network} for this '
                f'{type(module).__name__}: {len(missing)} keys missing '
                f'{missing[:3]}, {len(strange)} unexpected {strange[:3]}, '
                f'{len(differing)} of another shape {differing[:3]}; '
                f'{self.options} of the config and the file must agree'
            )
        module.load_state_dict(
            {key: loaded.get(key, value) for key, value in own.items()}
        )
        for child in module.children():
            if hasattr(child, 'init_weights'):
                child.is_init = True  # or mmengine lets it start anew
        print_log(
            f'{type(module).__name__}: {len(own)} weights and statistics from '
            f'{self.checkpoint}',
            logger='current',
        )


@WEIGHT_INITIALIZERS.register_module()
class PretrainedResNet(_PretrainedPart):
    """Initialise BaseNet (conv1..conv4) or conv5 from a whole ResNet.

    Args:
        checkpoint: Path, URL, ``torchvision://resnet18`` or
            ``torchvision://resnet50``; keys named as in torchvision.
    """

    network = 'ResNet'
    parts = (
        'conv1.',
        'bn1.',
        'layer1.',
        'layer2.',
        'layer3.',
        'layer4.',
        'fc.',
    )
    # both halves start from the same file
    keys = (
        'model.backbone.init_cfg.checkpoint and, for a ResConv5, '
        'model.roi_head.shared_head.init_cfg.checkpoint'
    )
    options = 'depth and base_channels'


@WEIGHT_INITIALIZERS.register_module()
class PretrainedMobileNetV2(_PretrainedPart):
    """Initialise a ``MobileNetV2C4`` from mmdet's whole MobileNetV2.

    Args:
        checkpoint: Path, URL or ``open-mmlab://mmdet/mobilenet_v2``; keys
            named as in mmdet.
    """

    network = 'MobileNetV2'
    parts = ('conv1.', 'conv2.', *(f'layer{i}.' for i in range(1, 8)))
    keys = 'model.backbone.init_cfg.checkpoint'
    options = 'widen_factor'
