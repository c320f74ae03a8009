"""Scalars of a training on disk, as long as there is room."""

import logging
import os

from mmdet.registry import VISBACKENDS
from mmengine.logging import print_log
from mmengine.visualization import LocalVisBackend


@VISBACKENDS.register_module()
class SteadyVisBackend(LocalVisBackend):
    """mmengine's ``LocalVisBackend``, but a full disk does not end a run.

    What cannot be written to ``scalars.json`` is left out, and the first time
    a warning says so. What a run has learned is in its checkpoints.

    Args: as mmengine's ``LocalVisBackend``.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._warned = False

    def _dump(self, value_dict: dict, file_path: str, file_format: str):
        """Append a line, all of it or nothing."""
        size = os.path.getsize(file_path) if os.path.exists(file_path) else 0
        try:
            super()._dump(value_dict, file_path, file_format)
        except OSError as error:
            if os.path.exists(file_path):
                os.truncate(file_path, size)
            if not self._warned:
                print_log(
                    f'{file_path}: cannot be written '
                    f'({error.strerror or error}): the training goes on, its '
                    'scalars are left out. Free some space',
                    'current',
                    logging.WARNING,
                )
            self._warned = True
