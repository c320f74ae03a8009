"""Which checkpoint of a folder to resume from."""

import logging
import math
import re
import time
from pathlib import Path

from mmengine.logging import print_log

from .errors import CheckpointError
from .reading import check_integrity, read_meta

#: Where a run stopped within an epoch, or in a validation.
INTERRUPTED = 'interrupted.pth'
#: How mmengine notes when a checkpoint was written.
_TIME = '%Y%m%d_%H%M%S'


def newest_valid_checkpoint(
    folder: str | Path, filename_tmpl: str = '(epoch|iter)_{}.pth'
) -> Path | None:
    """Return the checkpoint that was written last and is intact.

    Numbered files and ``interrupted.pth`` are ordered by the time of writing
    that their ``meta`` has, then by iteration; of the same, the latter is the
    last. Files without one are ordered by their own time, which a copy may
    not keep (``cp -p``, ``rsync -a``), then by number. mmengine's note
    ``last_checkpoint`` is not read: a killed run can leave it empty, or
    naming a file that is gone. Damaged files are named in a warning.

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
            found.append((*_age(path, step), path))
    for *_, path in sorted(found, reverse=True):
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


def _age(path: Path, step: float) -> tuple[str, float, float, int, float]:
    """What orders a checkpoint among others: larger is newer.

    Of the same second, one that does not say its iteration comes first: it
    may be damaged, and is then named.
    """
    meta, written = read_meta(path), path.stat().st_mtime_ns
    moment, iteration = meta.get('time'), meta.get('iter')
    if isinstance(moment, str) and isinstance(iteration, int):
        return moment, iteration, step, written, step
    moment = time.strftime(_TIME, time.localtime(written / 1e9))
    return moment, math.inf, 0, written, step
