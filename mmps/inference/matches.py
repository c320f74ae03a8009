"""Where a picture comes from, and what was found in it."""

from typing import NamedTuple


class Source(NamedTuple):
    """Where a picture comes from.

    Attributes:
        image: Path of the image or video file; None for pixels in memory.
        frame: Number of the frame from 0, of a video.
        timestamp: Of the frame in seconds, of a video.
    """

    image: str | None = None
    frame: int | None = None
    timestamp: float | None = None


class Match(NamedTuple):
    """A detection in the gallery, as similar to the query as it is.

    Attributes:
        image: Path of the image or video file; None for pixels in memory.
        position: Of the picture in the gallery, from 0.
        box: x1, y1, x2, y2 in original pixels.
        similarity: Cosine of the embeddings; of a query-guided network what
            it says of the pair, mostly a probability.
        score: Score of the detection, in [0, 1].
        frame: Number of the frame from 0, of a video.
        timestamp: Of the frame in seconds, of a video.
    """

    image: str | None
    position: int
    box: tuple[float, float, float, float]
    similarity: float
    score: float
    frame: int | None = None
    timestamp: float | None = None

    @property
    def source(self) -> Source:
        """Where its picture comes from."""
        return Source(self.image, self.frame, self.timestamp)
