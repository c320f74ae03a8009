"""Read the weights of a network, all of them or none."""

from collections.abc import Mapping

from mmengine.runner import CheckpointLoader
from torch import Tensor, nn

from .fit import bare, check_state_dict


def read_weights(source: str) -> dict[str, Tensor]:
    """Weights of a checkpoint, on the CPU.

    Args:
        source: Path or address (``checkpoint_schemes``).

    Raises:
        CheckpointError: Missing or damaged.
    """
    checkpoint = CheckpointLoader.load_checkpoint(str(source), 'cpu')
    return checkpoint.get('state_dict', checkpoint)


def fill_weights(
    model: nn.Module, weights: Mapping[str, Tensor], source: str
) -> None:
    """Give a model its weights.

    Args:
        model: Not wrapped in DDP.
        weights: A 'module.' in front of the keys is dropped.
        source: Named in the error.

    Raises:
        CheckpointError: Not the weights of this network; nothing is loaded.
    """
    check_state_dict(model, weights, source)
    model.load_state_dict(
        {bare(key): v for key, v in weights.items()},
        strict=False,  # BatchNorm's step counters may be missing
    )
