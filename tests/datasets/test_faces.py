from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pythae_gated.datasets import _heads, faces
from pythae_gated.datasets.faces import make_faces

VALUES = {"yaw": 7, "pitch": 5, "smile": 3, "mouth": 3, "brow": 3, "identity": 20}
NEUTRAL = {"yaw": 0.0, "pitch": 0.0, "smile": 0.0, "mouth": 0.0, "brow": 0.0}


def everyone(image_size: int = 64, **changed: float) -> NDArray[Any]:
    """Return the 20 people in one pose and expression, (20, S, S) in [0, 1]."""
    factors = {name: np.full(20, value) for name, value in {**NEUTRAL, **changed}.items()}
    factors["identity"] = np.arange(20)
    return faces._render(factors, image_size)[:, 0] / 255


def ink(images: NDArray[Any]) -> NDArray[Any]:
    """Return the dark pixels, which are those of brows, pupils and mouth."""
    return np.clip(0.25 - images, 0, None)


def centre_x(images: NDArray[Any]) -> NDArray[Any]:
    """Return the column of the centre of the ink, (n,), in pixels."""
    columns = ink(images).sum(1)
    return np.average(np.broadcast_to(np.arange(images.shape[2]), columns.shape), 1, columns)


def centre_y(images: NDArray[Any]) -> NDArray[Any]:
    """Return the row of the centre of the ink, (n,), in pixels."""
    rows = ink(images).sum(2)
    return np.average(np.broadcast_to(np.arange(images.shape[1]), rows.shape), 1, rows)


@pytest.mark.parametrize("size", [8, 31, 64])
def test_images_are_uint8_with_one_channel_and_a_white_background(size: int) -> None:
    images, factors = make_faces(50, image_size=size)
    assert images.shape == (50, 1, size, size)
    assert images.dtype == np.uint8
    assert (images.max((1, 2, 3)) == 255).all()
    assert images.min() < 80
    assert list(factors) == list(VALUES)
    assert all(values.shape == (50,) for values in factors.values())


def test_discrete_factors_take_a_few_evenly_spaced_values_uniformly() -> None:
    _, factors = make_faces(4000, image_size=8)
    for name, count in VALUES.items():
        values, times = np.unique(factors[name], return_counts=True)
        assert len(values) == count, name
        np.testing.assert_allclose(np.diff(values), values[1] - values[0], err_msg=name)
        assert times.min() > 0.6 * 4000 / count, name
    assert np.abs(np.corrcoef(np.stack(list(factors.values()))) - np.eye(6)).max() < 0.08
    assert factors["identity"].dtype == np.int64
    assert factors["yaw"].dtype == np.float64
    assert set(factors["smile"]) == {-1.0, 0.0, 1.0}
    assert set(factors["identity"]) == set(range(20))


def test_continuous_factors_fill_the_range_of_the_discrete_ones() -> None:
    _, discrete = make_faces(500, image_size=8)
    images, factors = make_faces(500, image_size=8, continuous=True)
    assert (images.max((1, 2, 3)) == 255).all()
    for name in NEUTRAL:
        low, high = discrete[name].min(), discrete[name].max()
        assert len(np.unique(factors[name])) == 500, name
        assert low <= factors[name].min() < low + 0.05 * (high - low), name
        assert high - 0.05 * (high - low) < factors[name].max() <= high, name
    assert set(factors["identity"]) == set(range(20))


def test_factors_depend_on_the_seed_and_not_on_global_generators() -> None:
    np.random.seed(0)  # noqa: NPY002
    random.seed(0)
    expected = np.random.RandomState(0).random(), random.Random(0).random()
    images, factors = make_faces(20, image_size=16, seed=3)
    again, factors_again = make_faces(20, image_size=16, seed=3)
    other, _ = make_faces(20, image_size=16, seed=4)
    assert (np.random.random(), random.random()) == expected  # noqa: NPY002
    np.testing.assert_array_equal(images, again)
    for name in VALUES:
        np.testing.assert_array_equal(factors[name], factors_again[name])
    assert not np.array_equal(images, other)


def test_an_image_depends_on_its_factors_only() -> None:
    images, factors = make_faces(300, seed=1)  # several chunks, the last of them short
    fewer, _ = make_faces(7, seed=1)
    np.testing.assert_array_equal(fewer, images[:7])
    for i in (0, 150, 299):
        alone = faces._render({name: values[i : i + 1] for name, values in factors.items()}, 64)
        np.testing.assert_array_equal(alone[0], images[i])


@pytest.mark.parametrize("name", VALUES)
def test_each_factor_changes_enough_pixels_to_be_learned(name: str) -> None:
    """Half the squared error of the mean over its values: VAEs ignore a smaller effect."""
    _, factors = make_faces(100, image_size=32)
    images = faces._render(factors, 32) / 255
    values = np.unique(make_faces(1000, image_size=8)[1][name])
    changed = [faces._render({**factors, name: np.full(100, v)}, 32) / 255 for v in values]
    worth = 0.5 * ((images - np.mean(changed, axis=0)) ** 2).sum((1, 2, 3)).mean()
    assert worth >= (0.5 if name in ("smile", "mouth", "brow") else 2.0)


def test_a_positive_yaw_looks_to_the_right_of_the_image() -> None:
    left, front, right = (centre_x(everyone(yaw=yaw)) for yaw in (-35.0, 0.0, 35.0))
    np.testing.assert_allclose(front, 31.5, atol=0.1)
    assert (left < front - 5).all()
    assert (right > front + 5).all()


def test_a_positive_pitch_looks_up() -> None:
    down, front, up = (centre_y(everyone(pitch=pitch)) for pitch in (-20.0, 0.0, 20.0))
    assert (up < front - 2).all()
    assert (down > front + 2).all()


@pytest.mark.parametrize("pitch", [-20.0, 0.0, 20.0])
def test_the_back_of_the_head_has_no_face(pitch: float) -> None:
    behind = everyone(yaw=180.0, pitch=pitch, mouth=1.0, brow=1.0)
    assert ink(everyone(pitch=pitch)).max() > 0
    assert ink(behind).max() == 0


def test_the_opposite_yaw_gives_the_mirrored_image() -> None:
    turned = everyone(yaw=20.0, pitch=10.0, smile=1.0, brow=-1.0)
    mirrored = everyone(yaw=-20.0, pitch=10.0, smile=1.0, brow=-1.0)[:, :, ::-1]
    np.testing.assert_allclose(turned, mirrored, atol=1.01 / 255)


@pytest.mark.parametrize(("smile", "sign"), [(1.0, 1), (-1.0, -1)])
def test_a_smile_lifts_the_corners_of_the_mouth(smile: float, sign: int) -> None:
    mouth = everyone(smile=smile)[:, 34:]
    corners = np.delete(mouth, np.s_[22:42], axis=2)
    assert (sign * (centre_y(mouth[:, :, 28:36]) - centre_y(corners)) > 5).all()


@pytest.mark.parametrize(("brow", "sign"), [(1.0, 1), (-1.0, -1)])
def test_a_positive_brow_lifts_the_inner_ends(brow: float, sign: int) -> None:
    brows = everyone(brow=brow)[:, :23]
    outer = np.delete(brows, np.s_[20:44], axis=2)
    assert (sign * (centre_y(outer) - centre_y(brows[:, :, 25:39])) > 3).all()


def test_an_open_mouth_is_dark_in_everyone() -> None:
    shut, ajar, wide = (ink(everyone(mouth=mouth)).sum((1, 2)) for mouth in (0.0, 0.5, 1.0))
    assert (ajar > 1.1 * shut).all()
    assert (wide > 1.1 * ajar).all()


@pytest.mark.parametrize("pitch", [-20.0, 20.0])
def test_hair_hides_no_brow(pitch: float, monkeypatch: pytest.MonkeyPatch) -> None:
    hairy = ink(everyone(32, brow=1.0, pitch=pitch)).sum((1, 2))
    make_solids = _heads._make_solids

    def shave(*arguments: Any) -> Any:
        head, nose, hair = make_solids(*arguments)
        hair.cover[:] = 0
        return head, nose, hair

    monkeypatch.setattr(_heads, "_make_solids", shave)
    bald = ink(everyone(32, brow=1.0, pitch=pitch)).sum((1, 2))
    assert (hairy > 0.95 * bald).all()


def test_every_two_people_differ() -> None:
    flat = everyone(32).reshape(20, -1)
    apart = 0.5 * ((flat[:, None] - flat) ** 2).sum(-1)
    assert apart[~np.eye(20, dtype=bool)].min() > 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n is 0; expected an integer of at least 1"),
        ({"n": 2.0}, r"n is 2\.0; expected an integer"),
        ({"n": True}, "n is True; expected an integer"),
        ({"n": "5"}, "n is '5'; expected an integer"),
        ({"n": 1, "image_size": 7}, "image_size is 7; expected an integer of at least 8"),
        ({"n": 1, "image_size": None}, "image_size is None; expected an integer"),
        ({"n": 1, "seed": -1}, "seed is -1; expected an integer of at least 0"),
        ({"n": 1, "continuous": 1}, "continuous is 1; expected True or False"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_faces(**arguments)


def test_numpy_integers_are_accepted() -> None:
    images, _ = make_faces(np.int64(2), image_size=np.int32(8), seed=np.uint8(1))  # type: ignore[arg-type]
    assert images.shape == (2, 1, 8, 8)
