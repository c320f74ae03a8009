"""What a reader of annotations returns: pictures and the people in them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mmps.datasets.errors import DatasetError
from mmps.datasets.pictures import SUFFIXES
from mmps.datasets.records import FARTHEST


@dataclass(frozen=True)
class Person:
    """One box.

    Attributes:
        bbox: x y w h in pixels.
        name: Identity; None for somebody without one.
    """

    bbox: tuple[float, float, float, float]
    name: str | None = None


@dataclass(frozen=True)
class Scene:
    """One picture.

    Attributes:
        file: Where it is.
        name: What it is to be called below ``images/``; unique.
        sequence: The video or folder that it belongs to.
        people: Everybody in it.
    """

    file: Path
    name: str
    sequence: str
    people: tuple[Person, ...]


@dataclass(frozen=True)
class Scenes:
    """All pictures of a source.

    Attributes:
        scenes: In the order of the source.
        notes: What was left out or read in a special way, with counts.
    """

    scenes: list[Scene]
    notes: tuple[str, ...] = ()


def find_picture(folder: Path, name: str, source: Path) -> Path:
    """Return the picture that annotations call ``name``.

    Args:
        folder: Folder of the pictures.
        name: Path below it. Of a path that is not there, such as one of
            another machine, the last part counts.
        source: The annotation file, for the message.

    Raises:
        DatasetError: There is no such picture.
    """
    parts = [part for part in name.replace('\\', '/').split('/') if part]
    for path in (parts, parts[-1:]):
        if path and '..' not in path and _is_file(folder.joinpath(*path)):
            return folder.joinpath(*path)
    raise DatasetError(
        source,
        f'names the picture {name!r}, which is not in {folder}',
        'give the folder of the pictures with --images',
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def numbered_pictures(folder: Path) -> dict[int, Path]:
    """Return the pictures of a video by the number that ends their names.

    Args:
        folder: With files such as 000001.jpg or frame_000000.PNG.

    Raises:
        DatasetError: It holds none, or two of one number.
    """
    found: dict[int, Path] = {}
    try:
        files = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        files = []
    except OSError as error:  # such as a name that is too long
        raise DatasetError(
            folder, f'cannot be listed: {error.strerror}'
        ) from error
    for path in files:
        if path.suffix.lower() not in SUFFIXES:
            continue
        digits = path.stem[len(path.stem.rstrip('0123456789')) :]
        if not digits:
            continue
        if int(digits) in found:
            raise DatasetError(
                folder,
                f'has two pictures of frame {int(digits)}: '
                f'{found[int(digits)].name} and {path.name}',
                'keep one',
            )
        found[int(digits)] = path
    if not found:
        raise DatasetError(
            folder,
            'has no picture whose name ends with a number, such as 000001.jpg',
            'extract the frames of the video into it',
        )
    return found


def check_reach(bbox: Sequence[float], source: Path, where: str) -> None:
    """Refuse a box that reaches beyond any picture.

    Args:
        bbox: x y w h; its sides may have any sign.
        source: The annotation file, for the message.
        where: The place in it.

    Raises:
        DatasetError: It does, or is not finite.
    """
    if not all(abs(value) <= FARTHEST for value in bbox):
        raise DatasetError(
            source,
            f'{where}: box {list(bbox)} (x y w h) is not finite or reaches '
            'beyond any picture',
        )


def check_names(scenes: Iterable[Scene], source: object) -> None:
    """Refuse two pictures that would have one name."""
    seen: dict[str, Path] = {}
    for scene in scenes:
        if scene.name in seen:
            raise DatasetError(
                source,
                f'two pictures are called {scene.name!r}: {seen[scene.name]} '
                f'and {scene.file}',
                'rename one',
            )
        seen[scene.name] = scene.file
