"""What a camera does to a picture: light, colour cast, blur, noise, JPEG."""

import cv2
import numpy as np

from .knobs import Knobs


def expose(
    rng: np.random.Generator, image: np.ndarray, knobs: Knobs, cast: np.ndarray
) -> np.ndarray:
    """Return the picture as a camera would take it.

    Args:
        rng: Decides everything else.
        image: (H, W, 3) uint8.
        knobs: Strengths.
        cast: Gains of the three colour channels.
    """
    gain = np.exp(rng.normal(0, knobs.gain))
    gamma = np.exp(rng.normal(0, knobs.gamma))
    tones = (np.arange(256)[:, None] / 255) ** gamma * gain * cast * 255
    table = np.clip(tones, 0, 255).astype(np.uint8)
    image = cv2.LUT(image, table[None])
    image = cv2.multiply(
        image, _shadow(rng, image.shape, knobs), dtype=cv2.CV_32F
    )
    blur = rng.uniform(0, knobs.blur) * image.shape[0] / 240
    if blur > 0.2:
        image = cv2.GaussianBlur(image, (0, 0), blur)
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    image += noise * np.float32(rng.uniform(1, knobs.noise))
    if knobs.dusk and rng.random() < knobs.dusk:
        image = _dusk(rng, image, knobs)
    return np.clip(image, 0, 255).astype(np.uint8)


def _dusk(
    rng: np.random.Generator, image: np.ndarray, knobs: Knobs
) -> np.ndarray:
    """Return a picture (float) with little light, bluish, and more noise."""
    light = rng.uniform(0.4, 0.7) * np.float32([1.1, 0.97, 0.9])
    noise = rng.standard_normal(image.shape, dtype=np.float32)
    return image * light + noise * np.float32(rng.uniform(0, knobs.noise) / 2)


def _shadow(
    rng: np.random.Generator, shape: tuple, knobs: Knobs
) -> np.ndarray:
    """Return factors (H, W, 3) that darken one side of the picture."""
    strength = rng.uniform(0, knobs.shadow)
    angle = rng.uniform(0, 2 * np.pi)
    across = np.linspace(-1, 1, shape[1], dtype=np.float32)
    down = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    side = np.cos(angle) * across + np.sin(angle) * down
    softness = rng.uniform(2, 8)
    lit = 1 / (1 + np.exp(-softness * (side - rng.uniform(-0.6, 0.6))))
    factor = (1 - strength * (1 - lit)).astype(np.float32)
    return np.repeat(factor[..., None], 3, axis=2)


def encode(rng: np.random.Generator, image: np.ndarray, knobs: Knobs) -> bytes:
    """Return the picture as JPEG of random quality."""
    low, high = knobs.quality
    quality = int(rng.integers(low, high + 1))
    done, data = cv2.imencode(
        '.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    if not done:
        raise RuntimeError(
            f'OpenCV {cv2.__version__} cannot write JPEG; install the '
            'opencv-python wheel'
        )
    return data.tobytes()
