"""Importing it makes mmengine do once what it does again and again.

It reads a config and all that it inherits from anew each time, which takes
about 70 ms; files of ``configs/`` do not change while tests run.

A Runner wants its config as text when it starts and for each checkpoint, and
laying one of ours out takes yapf up to a second; the text is the same Python
without that. It asks git, and programs around torch, what it runs on, and
notes the stack of each seed for a GPU to come. ``test_configs.py`` lays a
config out; programs that tests start do all of it.
"""

import functools
import os
from copy import deepcopy
from pathlib import Path

import torch
from mmengine.config import Config, config
from mmengine.runner import runner

CONFIGS = str(Path(__file__).parents[1] / 'configs') + os.sep
laid_out = config.FormatCode


def as_it_is(text: str, **options) -> tuple[str, bool]:
    """In place of ``yapf.yapflib.yapf_api.FormatCode``."""
    return text, False


def read_once(read):
    """Wrap ``Config._file2dict``: each file of ``configs/`` is read once."""
    kept = {}

    @functools.wraps(read)
    def file2dict(filename, *args, **kwargs):
        path = os.path.abspath(filename)
        if not path.startswith(CONFIGS) or not os.path.isfile(path):
            return read(filename, *args, **kwargs)
        changed = os.stat(path).st_mtime_ns
        key = (path, changed, *args, *kwargs.items())
        if key not in kept:
            kept[key] = read(filename, *args, **kwargs)
        return deepcopy(kept[key])

    return file2dict


config.FormatCode = as_it_is
Config._file2dict = staticmethod(read_once(Config._file2dict))
runner.collect_env = functools.cache(runner.collect_env)
runner.get_git_hash = functools.cache(runner.get_git_hash)
if not torch.cuda.is_available():
    torch.cuda.manual_seed_all = lambda seed: None
