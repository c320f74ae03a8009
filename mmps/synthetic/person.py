"""Draws one person: a jointed body in three dimensions, seen from one side.

The body stands in x (its left), y (up), z (ahead), one unit high. A picture
shows right = x cos(turn) + z sin(turn); what has a greater depth
z cos(turn) - x sin(turn) is nearer and drawn later. ``turn`` is 0 for a person
who faces the camera, pi for one who walks away.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np

from .canvas import Canvas, Point, fabric, shade
from .head import draw_head
from .look import Look

_HIP, _KNEE, _ANKLE = 0.50, 0.27, 0.04
_SHOULDER, _NECK, _WAIST = 0.815, 0.85, 0.60


@dataclass(frozen=True)
class Pose:
    """How a person stands in one picture.

    Attributes:
        turn: Radians; 0 faces the camera, pi walks away.
        phase: Radians in the walking cycle.
        stride: Swing of the legs, radians; 0 stands still.
        lean: Sideways lean, radians.
        arms: 'swing', 'phone' or 'pockets'.
    """

    turn: float
    phase: float
    stride: float
    lean: float
    arms: str


def random_pose(rng: np.random.Generator, profile: float) -> Pose:
    """Return a pose; ``profile`` is the chance of a view from the side."""
    side = rng.random()
    if side < profile:
        turn = math.pi / 2 * (1 if rng.random() < 0.5 else -1)
    else:
        turn = 0.0 if rng.random() < 0.5 else math.pi
    walks = rng.random() < 0.75
    return Pose(
        turn=turn + rng.normal(0, 0.35),
        phase=rng.uniform(0, 2 * math.pi),
        stride=rng.uniform(0.2, 0.42) if walks else 0.05,
        lean=rng.normal(0, 0.025),
        arms=('swing', 'swing', 'swing', 'phone', 'pockets')[rng.integers(5)],
    )


class _View:
    """Projects points of the body."""

    def __init__(self, pose: Pose, build: float) -> None:
        self.cos, self.sin = math.cos(pose.turn), math.sin(pose.turn)
        self.lean, self.build = math.tan(pose.lean), build

    def __call__(self, x: float, y: float, z: float) -> Point:
        x *= self.build
        return x * self.cos + z * self.sin + self.lean * y, y

    def depth(self, x: float, z: float) -> float:
        return z * self.cos - x * self.sin

    def half(self, wide: float, deep: float) -> float:
        """Half width of a trunk of oval section on the picture."""
        return self.build * math.hypot(wide * self.cos, deep * self.sin)


def draw_person(
    look: Look, pose: Pose, height: float, light: float
) -> tuple[np.ndarray, Point]:
    """Draw a person.

    Args:
        look: What is fixed about the person.
        pose: What is not.
        height: Pixels from the feet to the top of the head, without a hat.
        light: Side that the light comes from, -1 (left) to 1.

    Returns:
        Patch (h, w, 4) uint8, premultiplied blue, green, red, alpha; and
        where in it the point between the feet lies, pixels right and down.
    """
    finer = 4 if height < 60 else 3 if height < 110 else 2
    canvas = Canvas(height * finer, 0.06, light)
    view = _View(pose, look.build)
    _draw_body(canvas, look, pose, view)
    high, wide = (n // finer * finer for n in canvas.pixels.shape[:2])
    patch = cv2.resize(
        canvas.pixels[:high, :wide],
        (wide // finer, high // finer),
        interpolation=cv2.INTER_AREA,
    )
    return patch, tuple(c / finer for c in canvas.origin)


def _draw_body(canvas: Canvas, look: Look, pose: Pose, view: _View) -> None:
    faces = view.cos > 0
    arms = [(view.depth(0.13 * s, 0), s) for s in (-1, 1)]
    legs = [(view.depth(0.07 * s, 0), s) for s in (-1, 1)]
    if look.bag == 'backpack' and view.cos > -0.25:
        _backpack(canvas, look, view)
    for depth, side in sorted(arms):
        if depth < -0.03:
            _arm(canvas, look, pose, view, side)
    for _, side in sorted(legs):
        _leg(canvas, look, pose, view, side)
    _trunk(canvas, look, pose, view)
    if look.bag == 'backpack':
        if view.cos <= -0.25:
            _backpack(canvas, look, view)
        else:
            _straps(canvas, look, view)
    if look.bag == 'shoulder':
        _shoulder_bag(canvas, look, view)
    for depth, side in sorted(arms):
        if depth >= -0.03:
            _arm(canvas, look, pose, view, side)
    neck = look.scarf or look.skin
    canvas.limb(
        view(0, 0.80 if faces else 0.83, 0),
        view(0, 0.87, 0.01),
        0.04 if look.scarf else 0.03,
        0.03,
        neck,
    )
    draw_head(canvas, look, view(0, 0.925, 0.012), view.cos, view.sin)


def _leg(canvas, look: Look, pose: Pose, view: _View, side: int) -> None:
    swing = pose.stride * math.sin(pose.phase + (side > 0) * math.pi)
    lift = math.cos(pose.phase + (side > 0) * math.pi)
    bend = pose.stride * (0.35 + 1.1 * max(0.0, lift))
    x = 0.062 * side
    thigh, shin = _HIP - _KNEE, _KNEE - _ANKLE
    knee_z = thigh * math.sin(swing)
    knee_y = _HIP - thigh * math.cos(swing)
    foot_z = knee_z + shin * math.sin(swing - bend)
    foot_y = knee_y - shin * math.cos(swing - bend)
    covered = look.bottom_kind == 'trousers' and look.cut != 'dress'
    upper = look.bottom if look.bottom_kind != 'skirt' else look.skin
    if look.cut == 'dress':
        upper = look.skin
    lower = look.bottom if covered else look.skin
    hip, knee = view(x, _HIP, 0), view(x, knee_y, knee_z)
    ankle = view(x, foot_y, foot_z)
    wide = look.build
    canvas.limb(
        view(x, foot_y - 0.015, foot_z - 0.015),
        view(x * 1.25, foot_y - 0.022, foot_z + 0.065),
        0.026,
        0.02,
        look.shoes,
    )
    canvas.limb(knee, ankle, 0.040 * wide, 0.028 * wide, lower)
    loose = 0.062 if upper != look.skin else 0.055
    canvas.limb(hip, knee, loose * wide, 0.044 * wide, upper)


def _arm(canvas, look: Look, pose: Pose, view: _View, side: int) -> None:
    phase = pose.phase + (side < 0) * math.pi
    swing = 0.8 * pose.stride * math.sin(phase)
    elbow_bend = 0.25 + 0.5 * pose.stride
    out = 0.035
    if pose.arms == 'phone' and side > 0:
        swing, elbow_bend, out = 0.25, 2.0, 0.01
    elif pose.arms == 'pockets':
        swing, elbow_bend, out = -0.35, 0.75, 0.05
    x = 0.118 * side
    elbow_x = x + out * side
    elbow_y = _SHOULDER - 0.165 * math.cos(swing)
    elbow_z = 0.165 * math.sin(swing)
    angle = swing + elbow_bend
    hand_x = elbow_x - (0.02 + (out > 0.04) * 0.05) * side
    hand_y = elbow_y - 0.15 * math.cos(angle)
    hand_z = elbow_z + 0.15 * math.sin(angle)
    shoulder, elbow = (
        view(x, _SHOULDER - 0.01, 0),
        view(elbow_x, elbow_y, elbow_z),
    )
    hand = view(hand_x, hand_y, hand_z)
    upper = look.skin if look.sleeves == 'none' else look.top
    lower = look.top if look.sleeves == 'long' else look.skin
    wide = look.build
    if look.bag == 'hand' and side > 0:
        _handbag(canvas, look, view, hand)
    canvas.ellipse(hand, (0.022, 0.024), look.skin)
    canvas.limb(elbow, hand, 0.032 * wide, 0.024 * wide, lower)
    canvas.limb(shoulder, elbow, 0.042 * wide, 0.034 * wide, upper)


def _trunk(canvas, look: Look, pose: Pose, view: _View) -> None:
    hem = {'shirt': 0.475, 'coat': 0.36, 'dress': 0.33}[look.cut]
    flare = {'shirt': 0.0, 'coat': 0.015, 'dress': 0.04}[look.cut]
    flare += 0.3 * pose.stride * abs(view.sin) * (hem < 0.45) * 0.35
    if look.bottom_kind == 'skirt' and look.cut == 'shirt':
        low = view.half(0.125, 0.11) + 0.06 * pose.stride
        high = view.half(0.1, 0.075)
        canvas.cloth(
            _ring(view, ((0.56, high), (0.45, high * 1.15), (0.30, low))),
            fabric('plain', look.bottom, look.bottom, canvas.light, 0),
        )
    pattern = look.pattern
    if pattern == 'logo' and view.cos < 0.35:
        pattern = 'plain'
    cloth = fabric(
        pattern, look.top, look.top2, canvas.light, pose.turn / math.pi
    )
    canvas.cloth(
        _ring(
            view,
            (
                (_NECK - 0.005, view.half(0.045, 0.04)),
                (_SHOULDER + 0.01, view.half(0.115, 0.062)),
                (_SHOULDER - 0.06, view.half(0.125, 0.078)),
                (_WAIST, view.half(0.100, 0.072)),
                (0.50, view.half(0.112, 0.082)),
                (hem, view.half(0.115, 0.082) + flare),
            ),
        ),
        cloth,
    )


def _ring(view: _View, rows: tuple) -> list[Point]:
    """Return the outline of a trunk from (height, half width) rows."""
    middle = [(view(0, y, 0)[0], y, half) for y, half in rows]
    return [(x - half, y) for x, y, half in middle] + [
        (x + half, y) for x, y, half in reversed(middle)
    ]


def _backpack(canvas, look: Look, view: _View) -> None:
    half = view.half(0.085, 0.055)
    x = view(0, 0.7, -0.115)[0]
    rows = ((0.83, 0.7), (0.80, 0.95), (0.60, 1.0), (0.57, 0.85))
    outline = [(x - half * k, y) for y, k in rows]
    outline += [(x + half * k, y) for y, k in reversed(rows)]
    dark = shade(look.bag_colour, 0.6)
    canvas.cloth(
        outline, fabric('half', look.bag_colour, dark, canvas.light, 0)
    )
    canvas.line((x - 0.6 * half, 0.69), (x + 0.6 * half, 0.69), 0.012, dark)


def _straps(canvas, look: Look, view: _View) -> None:
    for side in (-1, 1):
        top, low = view(0.07 * side, 0.83, 0.0), view(0.085 * side, 0.62, 0.07)
        if abs(view.cos) > 0.35 or view.depth(side, 0) > 0:
            canvas.line(top, low, 0.028, look.bag_colour)


def _shoulder_bag(canvas, look: Look, view: _View) -> None:
    near = view.depth(1, 0) > 0
    end = view(0.135, 0.55, 0.0)
    ahead = 0.07 if view.cos > 0 else -0.07
    canvas.line(
        view(-0.06, 0.835, 0), view(0.03, 0.70, ahead), 0.018, look.bag_colour
    )
    canvas.line(view(0.03, 0.70, ahead), end, 0.018, look.bag_colour)
    if near or abs(view.cos) > 0.3:
        half = view.half(0.045, 0.075)
        x, y = end[0], 0.50
        box = [
            (x - half, y + 0.06),
            (x + half, y + 0.06),
            (x + half * 1.1, y - 0.05),
            (x - half * 1.1, y - 0.05),
        ]
        canvas.cloth(
            box, fabric('plain', look.bag_colour, (0, 0, 0), canvas.light, 0)
        )


def _handbag(canvas, look: Look, view: _View, hand: Point) -> None:
    half = view.half(0.035, 0.075)
    x, y = hand
    dark = shade(look.bag_colour, 0.55)
    canvas.line((x - half * 0.6, y - 0.05), (x, y), 0.012, dark)
    canvas.line((x + half * 0.6, y - 0.05), (x, y), 0.012, dark)
    box = [
        (x - half, y - 0.05),
        (x + half, y - 0.05),
        (x + half * 1.15, y - 0.16),
        (x - half * 1.15, y - 0.16),
    ]
    canvas.cloth(
        box, fabric('plain', look.bag_colour, (0, 0, 0), canvas.light, 0)
    )
