"""The part of a box inside its image."""

import math
from collections.abc import Sequence


def clip(bbox: Sequence[float], height: int, width: int) -> list[float] | None:
    """Return the part of a box inside the image, None if there is none."""
    if not all(map(math.isfinite, bbox)):
        return None
    x1, y1, x2, y2 = bbox
    x1, x2 = max(x1, 0), min(x2, width)
    y1, y2 = max(y1, 0), min(y2, height)
    return [x1, y1, x2, y2] if x1 < x2 and y1 < y2 else None
