"""Which people of a gallery a search looks at. NumPy alone."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from .matches import Source


@dataclass(frozen=True)
class Where:
    """Conditions on the people of a gallery; all of them must hold.

    A picture whose camera is unknown is of none of ``cameras``, and one whose
    time is unknown is neither after nor before anything.

    Attributes:
        cameras: Names; the picture is of one of them. None for any.
        after: Seconds since 1970 in UTC; the picture is as old or younger.
        before: Seconds since 1970 in UTC; the picture is older.
        min_score: The detection has this score or a higher one, in [0, 1];
            compared as float32, which scores are.
        images: What the path of the image or video file begins with.

    Raises:
        TypeError: ``cameras`` is one text instead of several.
        ValueError: A time that is not finite, nothing between ``after`` and
            ``before``, a score outside [0, 1].
    """

    cameras: Collection[str] | None = None
    after: float | None = None
    before: float | None = None
    min_score: float | None = None
    images: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.cameras, str):
            raise TypeError(
                f'cameras are several names, got the text {self.cameras!r}; '
                f'give ({self.cameras!r},)'
            )
        if self.cameras is not None:
            object.__setattr__(self, 'cameras', tuple(self.cameras))
        for name in ('after', 'before'):
            value = getattr(self, name)
            if value is not None and not math.isfinite(value):
                raise ValueError(f'{name} must be finite, got {value}')
        if None not in (self.after, self.before) and not (
            self.after < self.before
        ):
            raise ValueError(
                f'nothing is as young as after = {self.after} and older than '
                f'before = {self.before}'
            )
        if self.min_score is not None and not 0 <= self.min_score <= 1:
            raise ValueError(
                f'min_score must be in [0, 1], got {self.min_score}'
            )

    @property
    def least_score(self) -> float | None:
        """``min_score``, rounded as scores are."""
        if self.min_score is None:
            return None
        return float(np.float32(self.min_score))

    def pictures(self, sources: Sequence[Source]) -> np.ndarray:
        """(I,) bool: pictures whose people may be looked at.

        Raises:
            ValueError: Cameras or times are asked for, and no picture has
                one: a search that finds nothing would hide that.
        """
        kept = np.ones(len(sources), bool)
        if self.cameras is not None:
            cameras = [source.camera for source in sources]
            _known('camera', cameras)
            kept &= np.array([each in self.cameras for each in cameras], bool)
        if self.after is not None or self.before is not None:
            times = [source.time for source in sources]
            _known('time', times)
            seconds = np.array(times, np.float64)  # None becomes NaN
            with np.errstate(invalid='ignore'):
                if self.after is not None:
                    kept &= seconds >= self.after
                if self.before is not None:
                    kept &= seconds < self.before
        if self.images is not None:
            names = [source.image or '' for source in sources]
            begins = [name.startswith(self.images) for name in names]
            kept &= np.array(begins, bool)
        return kept

    def people(self, scores: np.ndarray) -> np.ndarray:
        """(M,) bool: detections whose score is high enough.

        Args:
            scores: (M,) float.
        """
        if self.min_score is None:
            return np.ones(len(scores), bool)
        return scores.astype(np.float32) >= np.float32(self.min_score)


def _known(what: str, values: list) -> None:
    if values and all(value is None for value in values):
        raise ValueError(
            f'the pictures of this gallery have no {what}, so none can be '
            'chosen by it; build the index again (with origins=Origins() in '
            'Python)'
        )
