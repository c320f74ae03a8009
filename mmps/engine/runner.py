"""mmengine's Runner, with a terminal that a newcomer can read."""

import importlib
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from mmdet.registry import RUNNERS
from mmengine.logging import MMLogger
from mmengine.runner import Runner

from mmps.ops import describe_operators

#: Beginnings of messages that fill screens: environment, config, hooks, and
#: mmengine's remarks about its own deprecated names.
BANNERS = (
    '\n' + '-' * 60,
    'Config:',
    'Hooks will be executed',
    '"FileClient" will be deprecated',
    '"HardDiskBackend" is the alias',
)


@RUNNERS.register_module()
class QuietRunner(Runner):
    """Keeps the banners of mmengine in the log file, off the terminal.

    Which operators are used (``mmps.ops``) is in the environment report, and
    a line of its own on the terminal.
    """

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """Build the logger; its file gets everything, the terminal less."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(is_no_banner)
        return logger

    def _log_env(self, env_cfg: dict) -> None:
        """Report the environment, and refuse operators that cannot run."""
        operators = describe_operators()
        with _broken_one_hidden('torchvision'):
            super()._log_env({**env_cfg, 'operators': operators})
        self.logger.info(f'operators: {operators}')


@contextmanager
def _broken_one_hidden(name: str) -> Iterator[None]:
    """Let ``import name`` say that it is absent if it fails otherwise.

    mmengine's report imports torchvision, and ends the run with one that was
    built for another torch.
    """
    broken = False
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        pass
    except (ImportError, RuntimeError, OSError):
        broken = True
        sys.modules[name] = None
    try:
        yield
    finally:
        if broken:
            del sys.modules[name]


def is_no_banner(record: logging.LogRecord) -> bool:
    """Whether a record belongs on the terminal."""
    return not record.getMessage().startswith(BANNERS)
