"""Clips of a video, one for each time that somebody was found in it."""

from collections.abc import Sequence
from pathlib import Path

import cv2

from mmps.inference.groups import Group
from mmps.inference.scenes import video_scenes

from .canvas import RIGHT

#: Frames a second where a video does not say.
RATE = 25.0


def save_clips(groups: Sequence[Group], folder: str | Path) -> list[Path]:
    """Write ``<rank>.mp4`` for each group of a video.

    A clip has all frames from the first match to the last one; where there
    is a match, it is framed.

    Args:
        groups: By rank, from 1; those in images are passed over.
        folder: Where to; is made if need be.

    Returns:
        The clips, by rank.

    Raises:
        DatasetError: A video cannot be read.
        OSError: A clip cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for rank, group in enumerate(groups, 1):
        if group.begin is not None:
            paths.append(folder / f'{rank:02d}.mp4')
            _write(group.best.source.image, group, paths[-1])
    return paths


def _write(video: str, group: Group, path: Path) -> None:
    boxes = {match.source.frame: match.box for match in group.matches}
    first, last = min(boxes), max(boxes)
    writer = None
    for scene in video_scenes(video, lambda n: first <= n <= last):
        picture, number = scene.pixels, scene.source.frame
        if writer is None:
            writer = _writer(path, video, picture.shape[1::-1])
        if number in boxes:
            x1, y1, x2, y2 = (round(value) for value in boxes[number])
            cv2.rectangle(picture, (x1, y1), (x2, y2), RIGHT, 2)
        writer.write(picture)
        if number == last:
            break
    writer.release()


def _writer(path: Path, video: str, size: Sequence[int]) -> cv2.VideoWriter:
    read = cv2.VideoCapture(video)
    rate = read.get(cv2.CAP_PROP_FPS) or RATE
    read.release()
    code = cv2.VideoWriter_fourcc(*'mp4v')
    writer = cv2.VideoWriter(str(path), code, rate, tuple(size))
    if not writer.isOpened():
        raise OSError(
            f'{path} cannot be written; leave out --clip, or install an '
            'OpenCV that writes mp4'
        )
    return writer
