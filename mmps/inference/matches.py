"""Where a picture comes from, and what was found in it."""

from typing import NamedTuple


class Source(NamedTuple):
    """Where a picture comes from.

    Attributes:
        image: Path of the image or video file; None for pixels in memory.
        frame: Number of the frame from 0, of a video.
        timestamp: Time of the frame in seconds, of a video.
    """

    image: str | None = None
    frame: int | None = None
    timestamp: float | None = None


class Match(NamedTuple):
    """A detection in the gallery, as similar to the query as it is.

    Attributes:
        source: Where its picture comes from.
        position: Place of the picture in the gallery, from 0.
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
