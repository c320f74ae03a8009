"""The model of a runner."""

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn


def unwrapped_model(runner: Runner) -> nn.Module:
    """Return it without what several processes wrap it in."""
    model = runner.model
    return model.module if is_model_wrapper(model) else model
