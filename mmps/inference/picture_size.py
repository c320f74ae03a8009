"""Which pictures are too large or too small to look at; nothing is decoded."""

import warnings
from os import PathLike

from mmps.datasets.errors import DatasetError

#: Pixels. Decoding and scaling take about 6 bytes each.
LARGEST = 100_000_000
#: Pixels of the shorter side, and how many times that the longer one may be:
#: of anything narrower nothing is left once it has been scaled.
SMALLEST, NARROWEST = 16, 50


def check_file(path: str | PathLike) -> None:
    """Refuse an image file by the size that its header gives.

    A file without a header that can be read is left to whoever decodes it.

    Raises:
        DatasetError: It is too large, too small or too narrow.
    """
    size = _header(path)
    if size is not None:
        check_size(*size, path)


def check_size(width: int, height: int, name: str | PathLike) -> None:
    """Refuse a picture by its size.

    Args:
        width: Pixels.
        height: Pixels.
        name: What the picture is called in the message.

    Raises:
        DatasetError: It is too large, too small or too narrow.
    """
    size = f'has {width} x {height} pixels'
    if width * height > LARGEST:
        raise DatasetError(
            name,
            f'{size}, more than {LARGEST // 1_000_000} million',
            'save it smaller: the network scales it down in any case',
        )
    short, long = sorted((width, height))
    if short < SMALLEST or long > NARROWEST * short:
        raise DatasetError(
            name,
            f'{size}: nobody can be seen in it',
            f'each side needs at least {SMALLEST} pixels and 1/{NARROWEST} of '
            'the other one',
        )


def _header(path: str | PathLike) -> tuple[int, int] | None:
    from PIL import Image

    with warnings.catch_warnings():
        # Pillow warns of large pictures; LARGEST decides here
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)
        try:
            with Image.open(path) as image:
                return image.size
        except Image.DecompressionBombError as error:
            raise DatasetError(
                path,
                f'has more than {LARGEST // 1_000_000} million pixels',
                'save it smaller: the network scales it down in any case',
            ) from error
        except Exception:  # Pillow raises many types for a broken header
            return None
