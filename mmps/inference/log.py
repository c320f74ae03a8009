"""A line in the log, with mmengine and without it."""

import logging
import sys


def log(text: str, level: int = logging.INFO) -> None:
    """Log a line: in mmengine's log if the program has one.

    A program without mmengine takes what it wants of the logger 'mmps', as of
    any other.

    Args:
        text: Of the line.
        level: Of ``logging``.
    """
    if 'mmengine.logging' in sys.modules:
        from mmengine.logging import print_log

        print_log(text, logger='current', level=level)
    else:
        logging.getLogger('mmps').log(level, text)
