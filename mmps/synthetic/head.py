"""Draws a head: hair, face and hat, from any side."""

from .canvas import Canvas, Point, shade
from .look import Look


def draw_head(
    canvas: Canvas, look: Look, centre: Point, facing: float, aside: float
) -> None:
    """Draw the head of a person.

    Args:
        canvas: Drawn on, in body units.
        look: What is fixed about the person.
        centre: Middle of the head.
        facing: 1 for a face towards the camera, -1 for the back of the head.
        aside: 1 for a face towards the right of the picture, -1 left.
    """
    x, y = centre
    hair = look.skin if look.hair_style == 'bald' else look.hair
    _hair_behind(canvas, look, centre, facing, aside)
    grown = {'afro': 0.022, 'bald': -0.002}.get(look.hair_style, 0.004)
    canvas.ellipse(
        (x - 0.008 * aside, y + 0.008),
        (0.050 + grown + 0.008 * abs(aside), 0.064 + grown),
        hair,
    )
    if facing > -0.45:
        _face(canvas, look, centre, facing, aside)
    if facing < 0.2 and look.hair_style in ('long', 'bob', 'tail', 'bun'):
        _hair_in_front(canvas, look, centre, aside)
    _hat(canvas, look, centre, facing, aside)


def _face(
    canvas: Canvas, look: Look, centre: Point, facing: float, aside: float
) -> None:
    x, y = centre
    seen = min(1.0, 0.62 + 0.45 * facing)
    fx, fy = x + 0.020 * aside, y - 0.012
    canvas.ellipse((fx, fy), (0.043 * seen + 0.003, 0.056), look.skin)
    if abs(aside) > 0.6:
        nose = 1 if aside > 0 else -1
        canvas.ellipse(
            (fx + nose * 0.040 * seen, fy - 0.004), (0.011, 0.013), look.skin
        )
    dark = shade(look.skin, 0.35)
    for side in (-1, 1):
        eye = fx + 0.019 * side * max(facing, 0) + 0.02 * aside
        if facing > 0.3 or side * aside > 0.5:
            canvas.ellipse((eye, fy + 0.012), (0.0065, 0.006), dark)
    if facing > 0.2:
        mouth = fx + 0.012 * aside
        canvas.ellipse((mouth, fy - 0.028), (0.013, 0.004), dark)


def _hair_behind(
    canvas: Canvas, look: Look, centre: Point, facing: float, aside: float
) -> None:
    x, y = centre
    back = x - 0.03 * aside
    if look.hair_style == 'long':
        low, half = y - 0.13, 0.058
    elif look.hair_style == 'bob':
        low, half = y - 0.055, 0.064
    elif look.hair_style == 'bun':
        canvas.ellipse((x - 0.055 * aside, y + 0.06), (0.03, 0.028), look.hair)
        return
    elif look.hair_style == 'tail':
        if facing < 0.6:
            canvas.limb(
                (x - 0.06 * aside, y + 0.02),
                (x - 0.085 * aside, y - 0.10),
                0.02,
                0.012,
                look.hair,
            )
        return
    else:
        return
    if facing < 0.3:
        canvas.limb((back, y), (back, low), half, half * 0.9, look.hair)
        return
    for side in (-1, 1):  # two locks beside the face
        lock = x + 0.046 * side - 0.01 * aside
        canvas.limb((lock, y), (lock, low), 0.022, 0.016, look.hair)


def _hair_in_front(
    canvas: Canvas, look: Look, centre: Point, aside: float
) -> None:
    """Draw the hair that falls over the neck of one who looks away."""
    x, y = centre
    back = x - 0.03 * aside
    if look.hair_style == 'long':
        canvas.limb((back, y), (back, y - 0.13), 0.05, 0.045, look.hair)
    elif look.hair_style == 'bob':
        canvas.limb((back, y), (back, y - 0.05), 0.055, 0.05, look.hair)
    elif look.hair_style == 'tail':
        tip = (x - 0.085 * aside, y - 0.12)
        canvas.limb((x - 0.06 * aside, y + 0.03), tip, 0.022, 0.013, look.hair)
    else:
        dark = shade(look.hair, 0.7)
        canvas.ellipse((x - 0.05 * aside, y + 0.05), (0.027, 0.025), dark)


def _hat(
    canvas: Canvas, look: Look, centre: Point, facing: float, aside: float
) -> None:
    x, y = centre
    colour = look.hat_colour
    if look.hat == 'none':
        return
    canvas.ellipse(
        (x - 0.005 * aside, y + 0.022), (0.062, 0.060), colour, (180, 360)
    )
    if look.hat == 'cap' and facing > -0.6:
        reach = 0.025 + 0.035 * abs(aside)
        canvas.ellipse(
            (x + 0.05 * aside, y + 0.024),
            (reach + 0.02, 0.010),
            shade(colour, 0.7),
        )
    elif look.hat == 'beanie':
        canvas.line(
            (x - 0.052, y + 0.028),
            (x + 0.052, y + 0.028),
            0.022,
            shade(colour, 0.75),
        )
    elif look.hat == 'brim':
        canvas.ellipse((x, y + 0.026), (0.10, 0.014), shade(colour, 0.8))
