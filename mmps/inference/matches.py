"""Where a picture comes from, and what was found in it."""

from typing import NamedTuple


class Source(NamedTuple):
    """Where a picture comes from.

    Attributes:
        image: Path of the image or video file; None for pixels in memory.
        frame: Number of the frame from 0, of a video.
        timestamp: Time of the frame in seconds from the video's beginning.
        camera: Name of the camera, if it is known.
        time: When the picture was taken, in seconds since 1970 in UTC, if it
            is known.
    """

    image: str | None = None
    frame: int | None = None
    timestamp: float | None = None
    camera: str | None = None
    time: float | None = None


class Match(NamedTuple):
    """A detection in the gallery, as similar to the query as it is.

    Attributes:
        source: Where its picture comes from.
        position: Place of the picture in the gallery, from 0; in a
            ``GalleryStore`` its number, which grows with each picture added.
        box: x1, y1, x2, y2 in original pixels.
        similarity: Cosine of the embeddings; of a query-guided network what
            it says of the pair, mostly a probability.
        score: Score of the detection, in [0, 1].
    """

    source: Source
    position: int
    box: tuple[float, float, float, float]
    similarity: float
    score: float
