"""Start both halves of a split ResNet from one torchvision-named file."""

from mmengine.logging import print_log
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from mmps.errors import InputError

#: Where a config names the file: both halves start from the same.
_KEYS = (
    'model.backbone.init_cfg.checkpoint',
    'model.roi_head.shared_head.init_cfg.checkpoint',
)
#: What a torchvision ResNet file may hold besides the module's own keys.
_PARTS = ('conv1.', 'bn1.', 'layer1.', 'layer2.', 'layer3.', 'layer4.', 'fc.')


@WEIGHT_INITIALIZERS.register_module()
class PretrainedResNet:
    """Initialise BaseNet (conv1..conv4) or conv5 from a whole ResNet.

    mmengine's ``Pretrained`` ignores missing keys and warns about the other
    half of the network; this one takes what the module has, knows the other
    half, and refuses anything else.

    Args:
        checkpoint: Path, URL, ``torchvision://resnet18`` or
            ``torchvision://resnet50``; keys named as in torchvision.
    """

    def __init__(self, checkpoint: str) -> None:
        self.checkpoint = checkpoint

    def __call__(self, module: nn.Module) -> None:
        """Copy the weights into the module, in place.

        Raises:
            InputError: The file cannot be had; names both keys of a config.
            ValueError: A weight of the module is missing in the file or has
                another shape, or the file holds more than a ResNet.
        """
        try:
            loaded = CheckpointLoader.load_checkpoint(
                self.checkpoint, map_location='cpu'
            )
        except InputError as error:
            keys = f'A path belongs into two keys: {" and ".join(_KEYS)}'
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
            if key not in own and not key.startswith(_PARTS)
        ]
        differing = [
            f'{key} {tuple(loaded[key].shape)}, not {tuple(value.shape)}'
            for key, value in own.items()
            if key in loaded and loaded[key].shape != value.shape
        ]
        if missing or strange or differing:
            raise ValueError(
                f'{self.checkpoint} is no ResNet for this '
                f'{type(module).__name__}: {len(missing)} keys missing '
                f'{missing[:3]}, {len(strange)} unexpected {strange[:3]}, '
                f'{len(differing)} of another shape {differing[:3]}; depth '
                'and base_channels of the config and the file must agree'
            )
        module.load_state_dict(
            {key: loaded.get(key, value) for key, value in own.items()}
        )
        print_log(
            f'{type(module).__name__}: {len(own)} weights and statistics from '
            f'{self.checkpoint}',
            logger='current',
        )
