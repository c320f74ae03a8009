"""Draws the empty place: sky, buildings, rooms, ground in perspective."""

import cv2
import numpy as np

#: The kinds of places; each is a function below.
KINDS = ('street', 'plaza', 'indoor', 'park', 'shops')


def draw_backdrop(
    rng: np.random.Generator, width: int, height: int, horizon: int
) -> np.ndarray:
    """Draw a place without people or things.

    Args:
        rng: Decides everything.
        width: Width of the picture, pixels.
        height: Height of the picture, pixels.
        horizon: Row of the horizon.

    Returns:
        (height, width, 3) uint8, blue green red.
    """
    image = np.empty((height, width, 3), np.uint8)
    kind = KINDS[rng.integers(len(KINDS))]
    foot = horizon + int(height * rng.uniform(0.05, 0.12))
    drawer = {
        'street': _street,
        'plaza': _plaza,
        'indoor': _indoor,
        'park': _park,
        'shops': _shops,
    }[kind]
    drawer(rng, image, horizon, foot)
    return _weather(rng, image)


def muted(
    rng: np.random.Generator, low: int = 60, high: int = 200, tint: int = 28
) -> tuple[int, int, int]:
    """Return a colour of building material: a grey with some tint."""
    grey = rng.uniform(low, high)
    return tuple(
        int(c) for c in np.clip(grey + rng.uniform(-tint, tint, 3), 0, 255)
    )


def vivid(rng: np.random.Generator) -> tuple[int, int, int]:
    """Return any saturated colour."""
    hsv = np.uint8(
        [[[rng.integers(180), rng.integers(110, 240), rng.integers(90, 240)]]]
    )
    return tuple(int(c) for c in cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0, 0])


def _weather(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """Add stains, so that no surface is of one colour."""
    height, width = image.shape[:2]
    stains = np.zeros((height, width), np.float32)
    for cells, strength in ((6, 9.0), (24, 7.0), (90, 5.0)):
        coarse = rng.standard_normal((cells, cells), dtype=np.float32)
        stains += strength * cv2.resize(
            coarse, (width, height), interpolation=cv2.INTER_LINEAR
        )
    stained = image.astype(np.float32) + stains[..., None]
    return np.clip(stained, 0, 255).astype(np.uint8)


def _gradient(image: np.ndarray, top: int, low: int, first, second) -> None:
    rows = np.linspace(0, 1, max(low - top, 1))[:, None, None]
    first, second = np.array(first), np.array(second)
    image[top:low] = (first * (1 - rows) + second * rows).astype(np.uint8)


def _sky(rng: np.random.Generator, image: np.ndarray, low: int) -> None:
    bright = rng.uniform(150, 245)
    blue = rng.uniform(0, 60)
    top = np.clip((bright + blue, bright, bright - blue), 0, 255)
    _gradient(image, 0, low, top, (bright, bright, bright))


def _tiles(
    rng: np.random.Generator, image: np.ndarray, horizon: int, top: int
) -> None:
    """Cover the ground with tiles in perspective."""
    height, width = image.shape[:2]
    ground = muted(rng, 80, 190, 18)
    _gradient(image, top, height, ground, tuple(0.82 * c for c in ground))
    joint = tuple(int(c * rng.uniform(0.75, 0.92)) for c in ground)
    vanish = width * rng.uniform(0.2, 0.8)
    step = width * rng.uniform(0.12, 0.3)
    for k in range(-14, 15):
        low = (int(vanish + k * step * 1.6), height)
        cv2.line(
            image,
            _towards(vanish, horizon, low, top),
            low,
            joint,
            1,
            cv2.LINE_AA,
        )
    depth = rng.uniform(0.5, 1.0)
    for k in range(1, 16):
        row = int(horizon + (height - horizon) * depth * 2 / k)
        if top < row < height:
            cv2.line(image, (0, row), (width, row), joint, 1)


def _towards(vanish: float, horizon: int, low: tuple, row: int) -> tuple:
    share = (row - horizon) / (low[1] - horizon)
    return int(vanish + (low[0] - vanish) * share), row


def _windows(
    rng: np.random.Generator, image: np.ndarray, box: tuple, wall: tuple
) -> None:
    x1, y1, x2, y2 = box
    wide, high = (
        int(image.shape[0] * rng.uniform(*r)) + 3
        for r in ((0.03, 0.09), (0.05, 0.12))
    )
    gap_x, gap_y = int(wide * rng.uniform(0.3, 1)), int(high * 0.5) + 1
    glass = muted(rng, 30, 130, 20)
    frame = tuple(int(c * 0.7) for c in wall)
    for y in range(y1 + gap_y, y2 - high, high + gap_y):
        for x in range(x1 + gap_x, x2 - wide, wide + gap_x):
            cv2.rectangle(image, (x, y), (x + wide, y + high), glass, -1)
            cv2.rectangle(image, (x, y), (x + wide, y + high), frame, 1)


def _houses(rng: np.random.Generator, image: np.ndarray, foot: int) -> None:
    height, width = image.shape[:2]
    x = int(-width * rng.uniform(0, 0.2))
    while x < width:
        wide = int(width * rng.uniform(0.18, 0.5))
        top = int(foot - height * rng.uniform(0.18, 0.6))
        wall = muted(rng)
        cv2.rectangle(image, (x, max(top, 0)), (x + wide, foot), wall, -1)
        _windows(rng, image, (x, max(top, 0), x + wide, foot), wall)
        x += wide + (int(width * 0.06) if rng.random() < 0.2 else 0)


def _street(rng, image: np.ndarray, horizon: int, foot: int) -> None:
    height, width = image.shape[:2]
    _sky(rng, image, foot)
    _houses(rng, image, foot)
    _tiles(rng, image, horizon, foot)
    kerb = foot + int((height - foot) * rng.uniform(0.06, 0.2))
    far = foot + int((height - foot) * rng.uniform(0.35, 0.7))
    road = muted(rng, 60, 110, 6)
    _gradient(image, kerb, far, road, tuple(0.9 * c for c in road))
    cv2.line(image, (0, kerb), (width, kerb), (190, 190, 190), 2)
    cv2.line(image, (0, far), (width, far), (170, 170, 170), 3)
    middle = (kerb + far) // 2
    for x in range(int(rng.integers(40)), width, 60):
        cv2.line(image, (x, middle), (x + 28, middle), (215, 215, 215), 2)


def _plaza(rng, image: np.ndarray, horizon: int, foot: int) -> None:
    _sky(rng, image, foot)
    _houses(rng, image, foot)
    _tiles(rng, image, horizon, foot)


def _park(rng, image: np.ndarray, horizon: int, foot: int) -> None:
    height, width = image.shape[:2]
    _sky(rng, image, foot)
    for _ in range(int(rng.integers(12, 26))):
        green = (
            int(rng.integers(20, 70)),
            int(rng.integers(60, 140)),
            int(rng.integers(30, 95)),
        )
        radius = int(height * rng.uniform(0.06, 0.2))
        centre = (
            int(rng.integers(width)),
            int(foot - height * rng.uniform(0.0, 0.25)),
        )
        cv2.circle(image, centre, radius, green, -1, cv2.LINE_AA)
    grass = (int(rng.integers(40, 80)), int(rng.integers(110, 160)), 90)
    _gradient(image, foot, height, grass, tuple(0.75 * c for c in grass))
    vanish, mid = width * rng.uniform(0.2, 0.8), width * rng.uniform(0.1, 0.9)
    half = width * rng.uniform(0.3, 0.7)
    sides = [(int(mid - half), height), (int(mid + half), height)]
    path = [
        sides[0],
        _towards(vanish, horizon, sides[0], foot),
        _towards(vanish, horizon, sides[1], foot),
        sides[1],
    ]
    cv2.fillPoly(image, [np.array(path)], muted(rng, 130, 190, 18))


def _indoor(rng, image: np.ndarray, horizon: int, foot: int) -> None:
    width = image.shape[1]
    wall = muted(rng, 110, 225, 25)
    _gradient(image, 0, foot, wall, tuple(0.85 * c for c in wall))
    ceiling = int(horizon * rng.uniform(0.15, 0.5))
    image[:ceiling] = muted(rng, 170, 240, 8)
    for x in range(int(rng.integers(30)), width, int(rng.integers(50, 110))):
        cv2.line(
            image,
            (x, ceiling // 2),
            (x + 25, ceiling // 2),
            (255, 255, 255),
            3,
        )
    x = int(rng.integers(0, 30))
    while x < width:  # doors and glass along the wall
        wide = int(width * rng.uniform(0.07, 0.2))
        colour = muted(rng, 40, 220, 45)
        top = ceiling + int((foot - ceiling) * rng.uniform(0.1, 0.4))
        low = foot if rng.random() < 0.6 else (top + foot) // 2
        cv2.rectangle(image, (x, top), (x + wide, low), colour, -1)
        cv2.rectangle(image, (x, top), (x + wide, low), (70, 70, 70), 1)
        x += wide + int(width * rng.uniform(0.03, 0.2))
    _tiles(rng, image, horizon, foot)


def _shops(rng, image: np.ndarray, horizon: int, foot: int) -> None:
    height, width = image.shape[:2]
    _sky(rng, image, foot)
    _houses(rng, image, foot)
    x = int(-width * rng.uniform(0, 0.15))
    while x < width:
        wide = int(width * rng.uniform(0.2, 0.42))
        top = int(foot - height * rng.uniform(0.2, 0.28))
        cv2.rectangle(
            image, (x, top), (x + wide, foot), muted(rng, 40, 90), -1
        )
        inside = muted(rng, 120, 220, 45)
        cv2.rectangle(
            image, (x + 4, top + 4), (x + wide - 4, foot - 3), inside, -1
        )
        for _ in range(int(rng.integers(3, 9))):  # goods
            left = x + 5 + int(rng.integers(max(wide - 20, 1)))
            up = int(rng.integers(top + 12, max(foot - 8, top + 13)))
            cv2.rectangle(
                image, (left, up), (left + 9, up + 9), vivid(rng), -1
            )
        awning, band = vivid(rng), int(height * rng.uniform(0.05, 0.1))
        cv2.rectangle(image, (x, top - band), (x + wide, top), awning, -1)
        if rng.random() < 0.5:
            for left in range(x, x + wide, 16):
                cv2.rectangle(
                    image,
                    (left, top - band),
                    (left + 7, top),
                    (235, 235, 235),
                    -1,
                )
        x += wide + int(width * rng.uniform(0, 0.06))
    _tiles(rng, image, horizon, foot)
