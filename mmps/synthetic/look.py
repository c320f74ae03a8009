"""What a person looks like: fixed for an identity, whatever the picture.

Colours are (blue, green, red) in 0..255, as OpenCV orders them.
"""

import colorsys
from dataclasses import dataclass, replace

import numpy as np

from .knobs import Knobs

Colour = tuple[int, int, int]

PATTERNS = ('plain', 'stripes', 'columns', 'checks', 'dots', 'logo', 'half')
_PATTERN_SHARES = (0.34, 0.16, 0.08, 0.11, 0.09, 0.08, 0.14)

# Hue (of 360), saturation, value. Neighbours in these lists differ clearly.
_TOPS = (
    (0, 0.85, 0.80),  # red
    (28, 0.90, 0.95),  # orange
    (50, 0.85, 0.95),  # yellow
    (85, 0.65, 0.70),  # lime
    (130, 0.75, 0.45),  # green
    (172, 0.75, 0.70),  # turquoise
    (200, 0.55, 0.95),  # sky blue
    (222, 0.85, 0.70),  # blue
    (235, 0.75, 0.32),  # navy
    (275, 0.60, 0.60),  # purple
    (325, 0.55, 0.92),  # pink
    (345, 0.80, 0.45),  # wine
    (0, 0.00, 0.96),  # white
    (0, 0.00, 0.55),  # grey
    (0, 0.00, 0.10),  # black
    (30, 0.55, 0.48),  # brown
)
_BOTTOMS = (
    (220, 0.60, 0.45),  # denim
    (215, 0.35, 0.72),  # light denim
    (0, 0.00, 0.10),  # black
    (38, 0.38, 0.76),  # khaki
    (0, 0.00, 0.92),  # white
    (0, 0.00, 0.45),  # grey
    (0, 0.75, 0.55),  # red
    (95, 0.50, 0.38),  # olive
    (24, 0.60, 0.35),  # brown
)
_SKINS = ((190, 214, 244), (160, 190, 230), (140, 175, 222), (105, 142, 196))
_SKINS += ((70, 105, 160), (48, 72, 112))
_HAIRS = ((20, 20, 25), (28, 42, 66), (45, 80, 125), (95, 165, 215))
_HAIRS += ((40, 70, 165), (165, 165, 170))


@dataclass(frozen=True)
class Look:
    """All that is fixed about a person.

    Attributes:
        hair_style: 'short', 'long', 'bob', 'bun', 'tail', 'afro' or 'bald'.
        pattern: One of ``PATTERNS``, of the top.
        top, top2: Colours of the top; ``top2`` is the pattern's.
        sleeves: 'long', 'short' or 'none'.
        cut: 'shirt', 'coat' (to the thigh) or 'dress'.
        bottom_kind: 'trousers', 'shorts' or 'skirt'.
        bag: 'none', 'backpack', 'shoulder' or 'hand'.
        hat: 'none', 'cap', 'beanie' or 'brim'.
        scarf: Colour, or None.
        stature: Height, 1 is the mean.
        build: Width, 1 is the mean.
    """

    skin: Colour
    hair_style: str
    hair: Colour
    pattern: str
    top: Colour
    top2: Colour
    sleeves: str
    cut: str
    bottom_kind: str
    bottom: Colour
    shoes: Colour
    bag: str
    bag_colour: Colour
    hat: str
    hat_colour: Colour
    scarf: Colour | None
    stature: float
    build: float


def look_of_identity(seed: int, identity: int, knobs: Knobs) -> Look:
    """Return the look of labelled person ``identity``.

    Identities take turns through all pairs of a top's and a bottom's colour,
    so that a small set has no two alike by accident. A few are look-alikes of
    the identity before on purpose.
    """
    look = _own_look(seed, identity)
    rng = np.random.default_rng([seed, 3, identity])
    if identity and rng.random() < knobs.lookalikes:
        other = _own_look(seed, identity - 1)
        if rng.random() < 0.5:
            return replace(
                look, top=other.top, top2=other.top2, pattern=other.pattern
            )
        return replace(
            look,
            bottom=other.bottom,
            bottom_kind=other.bottom_kind,
            hair=other.hair,
            hair_style=other.hair_style,
        )
    return look


def look_of_stranger(rng: np.random.Generator) -> Look:
    """Return a look for somebody who appears once."""
    return _dress(rng, *_pair(int(rng.integers(len(_TOPS) * len(_BOTTOMS)))))


def statue(look: Look, grey: int) -> Look:
    """Return ``look`` in one colour of stone, for what is no person."""
    stone = (grey, grey, grey)
    return replace(
        look,
        skin=stone,
        hair=stone,
        top=stone,
        top2=stone,
        bottom=stone,
        shoes=stone,
        bag='none',
        hat='none',
        scarf=None,
        pattern='plain',
    )


def _own_look(seed: int, identity: int) -> Look:
    pairs = len(_TOPS) * len(_BOTTOMS)
    turn, place = divmod(identity, pairs)
    order = np.random.default_rng([seed, 1, turn]).permutation(pairs)
    rng = np.random.default_rng([seed, 2, identity])
    return _dress(rng, *_pair(int(order[place])))


def _pair(index: int) -> tuple:
    return _TOPS[index % len(_TOPS)], _BOTTOMS[index // len(_TOPS)]


def _colour(rng: np.random.Generator, hsv: tuple) -> Colour:
    """Return a shade near ``hsv``."""
    hue = (hsv[0] + rng.uniform(-7, 7)) / 360 % 1
    sat = np.clip(hsv[1] * rng.uniform(0.85, 1.15), 0, 1)
    val = np.clip(hsv[2] * rng.uniform(0.85, 1.1) + 0.02, 0, 1)
    red, green, blue = colorsys.hsv_to_rgb(hue, sat, val)
    return round(255 * blue), round(255 * green), round(255 * red)


def _pick(rng: np.random.Generator, options, shares=None):
    return options[int(rng.choice(len(options), p=shares))]


def _dress(rng: np.random.Generator, top: tuple, bottom: tuple) -> Look:
    """Return a random look that wears the given two colours (hsv)."""
    other_tops = [t for t in _TOPS if t != top]
    cut = _pick(rng, ('shirt', 'coat', 'dress'), (0.72, 0.18, 0.10))
    sleeves = _pick(rng, ('long', 'short', 'none'), (0.55, 0.37, 0.08))
    return Look(
        skin=_pick(rng, _SKINS),
        hair_style=_pick(
            rng,
            ('short', 'long', 'bob', 'bun', 'tail', 'afro', 'bald'),
            (0.36, 0.2, 0.14, 0.08, 0.1, 0.06, 0.06),
        ),
        hair=_pick(rng, _HAIRS, (0.34, 0.26, 0.14, 0.12, 0.06, 0.08)),
        pattern=_pick(rng, PATTERNS, _PATTERN_SHARES),
        top=_colour(rng, top),
        top2=_colour(rng, _pick(rng, other_tops)),
        sleeves='long' if cut == 'coat' else sleeves,
        cut=cut,
        bottom_kind=_pick(
            rng, ('trousers', 'shorts', 'skirt'), (0.66, 0.17, 0.17)
        ),
        bottom=_colour(rng, bottom),
        shoes=_colour(rng, _pick(rng, _BOTTOMS)),
        bag=_pick(
            rng,
            ('none', 'backpack', 'shoulder', 'hand'),
            (0.45, 0.22, 0.19, 0.14),
        ),
        bag_colour=_colour(rng, _pick(rng, _TOPS)),
        hat=_pick(
            rng, ('none', 'cap', 'beanie', 'brim'), (0.74, 0.11, 0.1, 0.05)
        ),
        hat_colour=_colour(rng, _pick(rng, _TOPS)),
        scarf=_colour(rng, _pick(rng, _TOPS)) if rng.random() < 0.1 else None,
        stature=float(rng.uniform(0.92, 1.08)),
        build=float(rng.uniform(0.88, 1.25)),
    )
