"""Cartoon heads in three dimensions, rendered with numpy: images whose factors are known."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pythae_gated.datasets._heads import Factors, render_heads

# Factor -> (lowest, highest, number of evenly spaced values unless continuous).
_RANGES = {
    "yaw": (-35.0, 35.0, 7),
    "pitch": (-20.0, 20.0, 5),
    "smile": (-1.0, 1.0, 3),
    "mouth": (0.0, 1.0, 3),
    "brow": (-1.0, 1.0, 3),
}
_N_PEOPLE = 20

# Feature of a person -> (lowest, highest). The unit of length is half the width of the image, or
# of the head for the eyes. Skin and hair are light, so that brows and mouth stay visible.
_LOOKS = {
    "width": (0.70, 0.80),
    "height": (0.82, 0.92),
    "skin": (0.78, 0.96),
    "eye_gap": (0.33, 0.43),
    "eye_size": (0.16, 0.20),
    "nose": (0.09, 0.14),
    "hair_tone": (0.36, 0.76),
    "hair_size": (0.02, 0.13),
    "hair_drop": (-0.20, 0.06),
}
_STEPS = np.sqrt([2, 3, 5, 7, 11, 13, 17, 19, 23])
_CHUNK_PIXELS = 1 << 17  # bounds the memory; smaller chunks are slower


def make_faces(
    n: int, *, image_size: int = 64, continuous: bool = False, seed: int = 0
) -> tuple[NDArray[np.uint8], Factors]:
    """Render cartoon heads of 20 people in random poses and with random expressions.

    A head is an ellipsoid, rendered by parallel rays in closed form. Eyes, brows and mouth are
    drawn on its surface; nose and hair are further ellipsoids. The six factors are sampled
    independently and uniformly. An image depends on its factors and `image_size` only: person k
    looks the same in every call. The brightest pixel of each image, its background, is 255.

    ========  ==========  ======  ==================================================
    factor    range       values  meaning
    ========  ==========  ======  ==================================================
    yaw       -35 to 35   7       degrees; above 0 the head looks to the image's right
    pitch     -20 to 20   5       degrees; above 0 the head looks up
    smile     -1 to 1     3       -1 corners of the mouth down, 1 up
    mouth     0 to 1      3       0 closed, 1 wide open
    brow      -1 to 1     3       -1 inner ends down (angry), 1 up (worried)
    identity  0 to 19     20      which person: shape of the head, tones, eyes, nose, hair
    ========  ==========  ======  ==================================================

    Args:
        n: Number of images, at least 1. The first images of a longer call with the same seed are
            those of a shorter one.
        image_size: Height and width S, in pixels, at least 8.
        continuous: Sample from the whole range of each factor except identity, instead of the
            evenly spaced values above.
        seed: Seed of the factors, at least 0. Global random states are not used.

    Returns:
        The images, (n, 1, S, S) uint8, and the factors in the order above, name -> (n,) values:
        int64 for identity, float64 for the others.

    Raises:
        ValueError: If an argument is of another type or below its least value.

    Example:
        >>> images, factors = make_faces(100, image_size=32)
        >>> images.shape, str(images.dtype), int(images.max())
        ((100, 1, 32, 32), 'uint8', 255)
        >>> list(factors)
        ['yaw', 'pitch', 'smile', 'mouth', 'brow', 'identity']
        >>> sorted(set(factors["pitch"].tolist()))
        [-20.0, -10.0, 0.0, 10.0, 20.0]
    """
    _check_int("n", n, 1)
    _check_int("image_size", image_size, 8)
    _check_int("seed", seed, 0)
    if not isinstance(continuous, (bool, np.bool_)):
        raise ValueError(f"continuous is {continuous!r}; expected True or False")
    # One row per image, so that the first images do not depend on their number.
    draws = np.random.default_rng(int(seed)).random((int(n), len(_RANGES) + 1)).T
    factors: Factors = {}
    for draw, (name, (low, high, count)) in zip(draws[:-1], _RANGES.items(), strict=True):
        if continuous:
            factors[name] = low + (high - low) * draw
        else:
            factors[name] = np.linspace(low, high, count)[(draw * count).astype(np.int64)]
    factors["identity"] = (draws[-1] * _N_PEOPLE).astype(np.int64)
    return _render(factors, int(image_size)), factors


def _check_int(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{name} is {value!r}; expected an integer of at least {least}")


# The features of the people, name -> (20,), spread evenly over their ranges by a Kronecker
# sequence, which does not depend on the version of a random generator.
_PEOPLE: Factors = {
    name: low + (high - low) * ((0.5 + np.arange(_N_PEOPLE) * step) % 1)
    for step, (name, (low, high)) in zip(_STEPS, _LOOKS.items(), strict=True)
}


def _render(factors: Factors, image_size: int) -> NDArray[np.uint8]:
    """Render one image per row of `factors`, name -> (n,); returns (n, 1, S, S)."""
    n = len(factors["identity"])
    images = np.empty((n, 1, image_size, image_size), np.uint8)
    step = max(1, _CHUNK_PIXELS // image_size**2)

    def render(start: int) -> None:
        rows = slice(start, start + step)
        chunk = {name: values[rows] for name, values in factors.items()}
        looks = {name: look[chunk["identity"]] for name, look in _PEOPLE.items()}
        images[rows, 0] = render_heads(chunk, looks, image_size)

    # numpy releases the GIL while it computes.
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        list(pool.map(render, range(0, n, step)))
    return images
