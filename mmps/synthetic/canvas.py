"""Anti-aliased drawing in body units on a transparent canvas.

Colours are premultiplied: drawing (b, g, r, 255) with anti-aliasing over
(0, 0, 0, 0) leaves colour times coverage, which shrinks and blends correctly.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from .look import Colour

_SHIFT = 4  # cv2 draws at 1/16 pixel
_ONE = 1 << _SHIFT

Point = tuple[float, float]  # right, up; the body is 1 high, feet at 0


class Canvas:
    """A transparent picture that is drawn on in body units.

    Attributes:
        pixels: (H, W, 4) uint8, premultiplied blue, green, red and alpha.
        unit: Pixels of one body height.
        light: Side that the light comes from, -1 (left) to 1.
    """

    def __init__(self, unit: float, margin: float, light: float) -> None:
        """Make room for one body and ``margin`` body heights around it."""
        height = int(unit * (1.12 + 2 * margin))
        width = int(unit * (0.8 + 2 * margin))
        self.pixels = np.zeros((height, width, 4), np.uint8)
        self.unit, self.light = unit, light
        self.origin = width / 2, unit * (1.08 + margin)  # of (0, 0)

    def to_pixels(self, point: Point) -> Point:
        return (
            self.origin[0] + point[0] * self.unit,
            self.origin[1] - point[1] * self.unit,
        )

    def _fixed(self, point: Point) -> tuple[int, int]:
        x, y = self.to_pixels(point)
        return round(x * _ONE), round(y * _ONE)

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        corners = np.array([self._fixed(p) for p in points], np.int32)
        cv2.fillPoly(
            self.pixels, [corners], (*colour, 255), cv2.LINE_AA, _SHIFT
        )

    def ellipse(
        self,
        centre: Point,
        radii: Point,
        colour: Colour,
        arc: tuple[float, float] = (0, 360),
        tilt: float = 0,
    ) -> None:
        """Fill an ellipse, or the part of it between two angles (degrees).

        Angles run clockwise from the right: 180..360 is the upper half.
        """
        axes = tuple(max(1, round(r * self.unit * _ONE)) for r in radii)
        cv2.ellipse(
            self.pixels,
            self._fixed(centre),
            axes,
            tilt,
            *arc,
            (*colour, 255),
            -1,
            cv2.LINE_AA,
            _SHIFT,
        )

    def line(self, p: Point, q: Point, width: float, colour: Colour) -> None:
        thick = max(1, round(width * self.unit))
        cv2.line(
            self.pixels,
            self._fixed(p),
            self._fixed(q),
            (*colour, 255),
            thick,
            cv2.LINE_AA,
            _SHIFT,
        )

    def limb(
        self, p: Point, q: Point, rp: float, rq: float, colour: Colour
    ) -> None:
        """Draw a tapered limb with round ends and a lit side."""
        self._capsule(p, q, rp, rq, shade(colour, 0.8))
        aside = 0.22 * self.light
        self._capsule(
            (p[0] + aside * rp, p[1]),
            (q[0] + aside * rq, q[1]),
            0.68 * rp,
            0.68 * rq,
            colour,
        )

    def _capsule(
        self, p: Point, q: Point, rp: float, rq: float, colour: Colour
    ) -> None:
        dx, dy = q[0] - p[0], q[1] - p[1]
        length = max((dx * dx + dy * dy) ** 0.5, 1e-6)
        nx, ny = -dy / length, dx / length
        self.polygon(
            (
                (p[0] + nx * rp, p[1] + ny * rp),
                (q[0] + nx * rq, q[1] + ny * rq),
                (q[0] - nx * rq, q[1] - ny * rq),
                (p[0] - nx * rp, p[1] - ny * rp),
            ),
            colour,
        )
        self.ellipse(p, (rp, rp), colour)
        self.ellipse(q, (rq, rq), colour)

    def cloth(self, points: Sequence[Point], texture: np.ndarray) -> None:
        """Fill a polygon with a texture, stretched over its bounding box.

        Args:
            points: Corners.
            texture: (h, w, 3) uint8.
        """
        mean = texture.reshape(-1, 3).mean(axis=0)
        self.polygon(points, tuple(int(c) for c in mean))
        corners = np.array([self.to_pixels(p) for p in points])
        high, wide = self.pixels.shape[:2]
        left, top = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
        right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 1
        right, bottom = min(right, wide), min(bottom, high)
        mask = np.zeros((bottom - top, right - left), np.uint8)
        fixed = np.round((corners - (left, top)) * _ONE).astype(np.int32)
        cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, _SHIFT)
        stretched = cv2.resize(
            texture, mask.shape[::-1], interpolation=cv2.INTER_AREA
        )
        view = self.pixels[top:bottom, left:right, :3]
        np.copyto(view, stretched, where=(mask > 200)[..., None])


def shade(colour: Colour, factor: float) -> Colour:
    """Return a darker (or brighter) colour."""
    return tuple(min(255, int(c * factor)) for c in colour)


def fabric(
    pattern: str, first: Colour, second: Colour, light: float, shift: float
) -> np.ndarray:
    """Return the cloth of a trunk: pattern, and shade that makes it round.

    Args:
        pattern: One of ``look.PATTERNS``.
        first: Main colour.
        second: Colour of the pattern.
        light: Side that the light comes from, -1 to 1.
        shift: Turn of the pattern around the body, share of its width.

    Returns:
        (64, 48, 3) uint8.
    """
    v, u = np.mgrid[0:64, 0:48] / np.array([64, 48])[:, None, None]
    u_turned = u + shift
    marked = {
        'plain': lambda: np.zeros(u.shape, bool),
        'stripes': lambda: (v * 4.5) % 1 < 0.45,
        'columns': lambda: (u_turned * 4) % 1 < 0.45,
        'checks': lambda: ((u_turned * 3) % 1 < 0.5) ^ ((v * 4) % 1 < 0.5),
        'dots': lambda: (
            ((u_turned * 4) % 1 - 0.5) ** 2 + ((v * 5) % 1 - 0.5) ** 2 < 0.09
        ),
        'logo': lambda: (np.abs(u - 0.5) < 0.26) & (np.abs(v - 0.33) < 0.16),
        'half': lambda: v > 0.48,
    }[pattern]()
    cloth = np.where(marked[..., None], second, first).astype(np.float32)
    roundness = 1.0 - 1.1 * (u - 0.5 - 0.2 * light) ** 2
    roundness *= 1.03 - 0.12 * v
    return np.clip(cloth * roundness[..., None], 0, 255).astype(np.uint8)
