"""HTML pages that need nothing from elsewhere.

A page asks for no script, font or style of any server, and its own policy
(``Content-Security-Policy``) makes the browser refuse if it did. Text is
escaped by the templates.
"""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import jinja2
import numpy as np

from mmps.atomic_files import write_text

TEMPLATES = Path(__file__).parent / 'templates'


class Picture(NamedTuple):
    """A picture of a page.

    Attributes:
        src: File beside the page, or a data URI.
        caption: Below it.
    """

    src: str
    caption: str


class Section(NamedTuple):
    """Pictures under a heading.

    Attributes:
        heading: Above them.
        pictures: In the order of the page.
    """

    heading: str
    pictures: Sequence[Picture]


def fill_template(template: str, **values: object) -> str:
    """Fill one of the templates; a value that it lacks is an error."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def write_index(
    folder: Path,
    title: str,
    notes: Sequence[str],
    sections: Sequence[Section],
) -> None:
    """Write ``index.html`` beside the pictures that it shows.

    Args:
        folder: Folder with the pictures; gets ``index.html``.
        title: Heading of the page.
        notes: Lines below the title.
        sections: Those without a picture are left out.
    """
    page = fill_template(
        'pictures.html',
        title=title,
        notes=notes,
        sections=[section for section in sections if section.pictures],
    )
    write_text(folder / 'index.html', page)


def data_uri(picture: np.ndarray, quality: int = 85) -> str:
    """A picture as JPEG inside the page.

    Args:
        picture: (height, width, 3) uint8, blue green red.
        quality: Quality of the JPEG, 1 to 100.
    """
    _, jpeg = cv2.imencode(
        '.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    text = base64.b64encode(jpeg.tobytes()).decode()
    return f'data:image/jpeg;base64,{text}'
