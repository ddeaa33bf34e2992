import numpy as np
import pytest

from pythae_gated.metrics import evaluate
from tests.support.pixels import make_pixel_vae
from tests.support.quick_metrics import use_quick_metrics

SIZES = {"pose": 1, "person": 3}
INTENDED = {"yaw": "pose", "age": "person"}


@pytest.fixture(autouse=True)
def quick_metrics(monkeypatch):
    use_quick_metrics(monkeypatch)


@pytest.fixture
def model():
    return make_pixel_vae(log_var=-12.0)


@pytest.fixture(scope="session")
def data():
    """Images whose first pixel is the yaw and whose last determines the age."""
    images = np.random.default_rng(0).uniform(size=(80, 1, 2, 2)).astype(np.float32)
    age = (images[:, 0, 1, 1] > 0.5).astype(int)
    return images, {"yaw": images[:, 0, 0, 0].copy(), "age": age}


@pytest.fixture(scope="session")
def found(data):
    return evaluate(make_pixel_vae(log_var=-12.0), *data, partitions=SIZES, intended=INTENDED)
