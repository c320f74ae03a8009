"""Importing it makes a Runner do once what it does again and again.

A Runner wants its config as text when it starts and for each checkpoint, and
laying one of ours out takes yapf up to a second; the text is the same Python
without that. It asks git, and programs around torch, what it runs on, and
notes the stack of each seed for a GPU to come. ``test_configs.py`` lays a
config out; programs that tests start do all of it.
"""

import functools

import torch
from mmengine.config import config
from mmengine.runner import runner

laid_out = config.FormatCode


def as_it_is(text: str, **options) -> tuple[str, bool]:
    """In place of ``yapf.yapflib.yapf_api.FormatCode``."""
    return text, False


config.FormatCode = as_it_is
runner.collect_env = functools.cache(runner.collect_env)
runner.get_git_hash = functools.cache(runner.get_git_hash)
if not torch.cuda.is_available():
    torch.cuda.manual_seed_all = lambda seed: None
