"""mmengine's Runner, with a terminal that a newcomer can read."""

import logging

from mmdet.registry import RUNNERS
from mmengine.logging import MMLogger
from mmengine.runner import Runner

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
    """Keeps the banners of mmengine in the log file, off the terminal."""

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """Build the logger; its file gets everything, the terminal less."""
        logger = super().build_logger(*args, **kwargs)
        for handler in logger.handlers:
            if not isinstance(handler, logging.FileHandler):
                handler.addFilter(is_no_banner)
        return logger


def is_no_banner(record: logging.LogRecord) -> bool:
    """Whether a record belongs on the terminal."""
    return not record.getMessage().startswith(BANNERS)
