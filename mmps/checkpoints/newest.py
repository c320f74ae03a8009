"""Which checkpoint of a folder to resume from."""

import logging
import math
import re
from pathlib import Path

from mmengine.logging import print_log

from .errors import CheckpointError
from .reading import check_integrity

#: Where a run stopped within an epoch, or in a validation.
INTERRUPTED = 'interrupted.pth'


def newest_valid_checkpoint(
    folder: str | Path, filename_tmpl: str = '(epoch|iter)_{}.pth'
) -> Path | None:
    """Return the checkpoint that was written last and is intact.

    Numbered files and ``interrupted.pth`` are ordered by the time of writing;
    of the same time, the latter is the last, then the highest number.
    mmengine's note ``last_checkpoint`` is not read: a killed run can leave it
    empty, or naming a file that is gone. Copy a work_dir with its times
    (``cp -p``, ``rsync -a``). Damaged files are named in a warning.

    Args:
        folder: May not exist.
        filename_tmpl: Regular expression with '{}' for the number.

    Returns:
        None if there is no checkpoint at all.

    Raises:
        CheckpointError: There are checkpoints, and all are damaged.
    """
    pattern = re.compile(filename_tmpl.replace('{}', r'(?P<step>\d+)'))
    found = []
    folder = Path(folder)
    for path in folder.iterdir() if folder.is_dir() else ():
        match = pattern.fullmatch(path.name)
        if (match or path.name == INTERRUPTED) and path.is_file():
            step = int(match['step']) if match else math.inf
            found.append((path.stat().st_mtime_ns, step, path))
    for _, _, path in sorted(found, reverse=True):
        try:
            check_integrity(path)
        except CheckpointError as error:
            print_log(f'Skipped {error}', 'current', logging.WARNING)
        else:
            return path
    if found:
        raise CheckpointError(
            folder,
            f'none of its {len(found)} checkpoints is intact',
            'Move them away to start from the beginning',
        )
    return None
