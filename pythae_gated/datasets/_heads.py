"""The renderer of `make_faces`: ellipsoids under parallel rays, a face drawn on the surface."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[Any]  # (B,), one per head; float64, int64 for the identity
Pixels = NDArray[Any]  # float32, broadcastable to (B, S, S)
Factors = dict[str, Values]


def render_heads(factors: Factors, looks: Factors, size: int) -> Pixels:
    """Render B heads in these poses, with these expressions and looks, each name -> (B,).

    All operations are elementwise: the rounding of a matrix product depends on its number of
    rows, and an image must not depend on the others in its batch.

    Returns:
        The images, (B, size, size), as whole numbers from 0 to 255.
    """
    skin, hair_tone = _per_image(looks["skin"]), _per_image(looks["hair_tone"])
    view = _View(factors["yaw"], factors["pitch"], size)
    head, nose, hair = _make_solids(view, looks)

    image = (0.82 + 0.18 * head.facing) * skin
    _draw_face(image, head, {**factors, **looks}, view.sharpness)
    _paint(image, nose.cover, (0.70 + 0.25 * nose.facing) * skin)
    image = (image - 1.0) * head.cover + 1.0  # the background is 1
    visible = _soft(hair.depth() - head.depth(), view.sharpness)
    visible = np.maximum(visible, 1.0 - head.cover)  # hair behind the head's outline
    _paint(image, visible * hair.cover, (0.75 + 0.25 * hair.facing) * hair_tone)
    return np.rint(image * 255.0)


def _make_solids(view: _View, looks: Factors) -> tuple[_Ellipsoid, _Ellipsoid, _Ellipsoid]:
    """Return the heads, noses and hair of people of these looks, name -> (B,)."""
    width, height, nose = looks["width"], looks["height"], looks["nose"]
    size, drop, zero = looks["hair_size"], looks["hair_drop"], np.zeros_like(width)
    hair_radii = width + size, 0.92 * height + 0.4 * size, width + 0.4 * size
    return (
        _Ellipsoid(view, (zero, zero, zero), (width, height, width)),
        _Ellipsoid(view, (zero, -0.04 * height, 0.98 * width), (nose, 1.4 * nose, 1.5 * nose)),
        _Ellipsoid(view, (zero, 0.1 - drop, -0.25 - 0.5 * size), hair_radii),
    )


class _View:
    """Rotations of B heads, and pixel coordinates: x to the right, y up, z to the viewer.

    The image reaches from -1 to 1 in x and y.
    """

    def __init__(self, yaw: Values, pitch: Values, size: int) -> None:
        sin_yaw, cos_yaw = np.sin(np.radians(yaw)), np.cos(np.radians(yaw))
        sin_pitch, cos_pitch = np.sin(np.radians(pitch)), np.cos(np.radians(pitch))
        # Head to camera, (3, 3, B): pitch first, then yaw.
        to_x = cos_yaw, -sin_yaw * sin_pitch, sin_yaw * cos_pitch
        to_y = np.zeros_like(yaw), cos_pitch, sin_pitch
        to_z = -sin_yaw, -cos_yaw * sin_pitch, cos_yaw * cos_pitch
        self.turn = np.array([to_x, to_y, to_z])
        centres = (2.0 * np.arange(size) + 1.0 - size) / size
        self.x: Pixels = centres.astype(np.float32).reshape(1, 1, size)
        self.y: Pixels = -self.x.reshape(1, size, 1)
        self.size = size
        self.sharpness = size / 5  # an edge drawn on the head is about 2 pixels wide: VAEs blur


class _Ellipsoid:
    """Intersection of the rays with B ellipsoids that turn with the head, on the unit sphere.

    With A = diag(1 / radii) turn^T, the point (x, y, z) lies at u = A (x, y, z) on that sphere.
    Let w = A_z / |A_z|, the ray's direction there, and P_i = A_i - (w . A_i) w. Then, from the
    ellipsoid's centre,

        u = x P_x + y P_y + s w,    s = sqrt(1 - |x P_x + y P_y|^2),
        z = (s - x (w . A_x) - y (w . A_y)) / |A_z|.

    Attributes:
        cover: The share of each pixel that the ellipsoid covers, (B, S, S).
        facing: s, 1 where the surface faces the viewer and 0 at the outline and beyond, (B, S, S).
    """

    def __init__(
        self,
        view: _View,
        centre: tuple[Values, Values, Values],  # (B,) each, in the head's frame
        radii: tuple[Values, Values, Values],  # (B,) each
    ) -> None:
        middle = (view.turn * np.array(centre)).sum(1)
        scaled = view.turn / np.array(radii)  # A_x, A_y, A_z, each (3, B)
        self._length = np.sqrt((scaled[2] ** 2).sum(0))
        self._ray = scaled[2] / self._length
        self._along = (scaled[:2] * self._ray).sum(1)
        self._flat = scaled[:2] - self._along[:, None] * self._ray
        self._x = view.x - _per_image(middle[0])
        self._y = view.y - _per_image(middle[1])
        self._z = middle[2]
        (xx, yy), xy = (self._flat**2).sum(1), (self._flat[0] * self._flat[1]).sum(0)
        inside = (1.0 - _per_image(xx) * self._x**2) - _per_image(yy) * self._y**2
        inside = inside - (_per_image(2 * xy) * self._x) * self._y
        # Near the outline a pixel's width is a step of about 4 / (radius S) in |u|^2.
        sharpness = np.sqrt(radii[0] * radii[1]) * view.size / 4
        self.cover = _soft(inside, _per_image(sharpness))
        self.facing: Pixels = np.sqrt(inside.clip(0.0))

    def coordinate(self, axis: int) -> Pixels:
        """Return a coordinate of u, (B, S, S): axis 0 to the head's left, 1 up, 2 front."""
        return self._linear(self._flat[:, axis], self._ray[axis], np.zeros_like(self._z))

    def depth(self) -> Pixels:
        """Return z, larger is nearer, (B, S, S)."""
        return self._linear(-self._along / self._length, 1 / self._length, self._z)

    def _linear(self, slopes: Values, facing: Values, constant: Values) -> Pixels:
        column = _per_image(slopes[1]) * self._y + _per_image(constant)
        out: Pixels = _per_image(facing) * self.facing + (_per_image(slopes[0]) * self._x + column)
        return out


def _draw_face(image: Pixels, head: _Ellipsoid, looks: Factors, sharpness: float) -> None:
    """Draw the features of B faces into an image, (B, S, S), on the surfaces of their heads."""
    brow, smile, mouth, gap, size = (
        _per_image(looks[name]) for name in ("brow", "smile", "mouth", "eye_gap", "eye_size")
    )
    across, up = np.abs(head.coordinate(0)), head.coordinate(1)  # faces are symmetric
    # The back of the head has the same two coordinates: no feature is drawn there.
    np.copyto(across, 9.0, where=head.coordinate(2) < 0.0)

    distance = ((across - gap) / size) ** 2 + ((up - 0.14) / (0.9 * size)) ** 2
    _paint(image, _soft(1.0 - distance, sharpness * size / 2), 1.0)
    _paint(image, _soft(0.36 - distance, sharpness * size), 0.1)

    outward = across - gap
    outside = np.abs(up - (0.52 + 0.08 * brow) + (0.06 + 0.60 * brow) * outward) - 0.08
    outside = np.maximum(outside, np.abs(outward) - 0.27)
    _paint(image, _soft(outside, -sharpness), 0.0)

    bend, gape, square = 0.46 * smile, 0.24 * mouth, (across * (1 / 0.55)) ** 2
    outside = np.abs(up + (0.47 + 0.36 * bend) - bend * square) - (0.08 + gape)
    # Lips taper late, since a smile moves the corners most; the gape between them is a lens.
    taper = (0.08 * square + gape) * square
    _paint(image, _soft(outside + taper, -sharpness), 0.05)


def _per_image(values: Values) -> Pixels:
    """Return (B,) values as (B, 1, 1), which broadcast over pixels."""
    return values.astype(np.float32).reshape(-1, 1, 1)


def _soft(inside: Pixels, sharpness: Pixels | float) -> Pixels:
    """The share of a pixel inside an edge, from its distance to the edge."""
    return np.clip(inside * sharpness + 0.5, 0.0, 1.0)


def _paint(image: Pixels, mask: Pixels, tone: Pixels | float) -> None:
    """Blend `tone` into the image, in place, where the mask is 1."""
    image += mask * (tone - image)
