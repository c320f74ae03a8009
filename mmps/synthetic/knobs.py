"""How hard the synthetic pictures are: every number that decides it.

Lengths are shares of the picture's height, so that they hold at any size.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Knobs:
    """Difficulty of the pictures; the defaults are what is published.

    Attributes:
        heights: Least and greatest height of a person, share of the picture.
        cut_off: Chance that a near person's feet are below the picture.
        close_up: Chance that somebody passes so near that head and feet are
            beyond the borders.
        max_cover: Most of a person's box that others may cover, as planned.
        occluders: Mean number of things in front of people.
        lookalikes: Chance that an identity takes parts of the outfit of the
            one before it.
        profile: Chance that a person is seen from the side; the rest is
            split between front and back.
        cast: Spread (natural log) of a camera's gain per colour channel.
        gain: Spread (natural log) of the exposure.
        gamma: Spread (natural log) of the exponent of the tone curve.
        shadow: Greatest darkening of the shaded side of a picture.
        blur: Greatest standard deviation of the blur, pixels at height 240.
        noise: Greatest standard deviation of the noise, of 255.
        quality: Least and greatest JPEG quality.
        decoys: Mean number of person-shaped things.
        clutter: Mean number of other things in the background.
        hard_below: Visible share under which a box is marked ``ishard``.
        groups: Chance that a person stands beside one placed before.
        dusk: Chance that a picture is taken in the dusk.
        least_visible: Visible share that everybody has; a picture where
            somebody is hidden more is drawn again.
    """

    heights: tuple[float, float] = (0.19, 0.80)
    cut_off: float = 0.10
    close_up: float = 0.012
    max_cover: float = 0.35
    occluders: float = 0.6
    lookalikes: float = 0.12
    profile: float = 0.4
    cast: float = 0.06
    gain: float = 0.12
    gamma: float = 0.10
    shadow: float = 0.35
    blur: float = 0.9
    noise: float = 7.0
    quality: tuple[int, int] = (55, 95)
    decoys: float = 0.8
    clutter: float = 4.0
    hard_below: float = 0.6
    groups: float = 0.0
    dusk: float = 0.0
    least_visible: float = 0.0


#: The kinds of scenes by name. Plain ones are what the tables of the
#: synthetic benchmark are about; crowded ones are hard as streets are: small
#: people in groups, who hide one another, at dusk, among statues and coats.
SCENES = {
    'plain': Knobs(),
    'crowded': Knobs(
        heights=(0.14, 0.6),
        max_cover=0.6,
        occluders=2.5,
        gain=0.2,
        gamma=0.18,
        shadow=0.55,
        blur=1.3,
        noise=14.0,
        quality=(35, 85),
        decoys=4.0,
        clutter=7.0,
        groups=0.55,
        dusk=0.4,
        least_visible=0.15,
    ),
}
