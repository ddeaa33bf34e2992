import imageio.v3 as imageio
import numpy as np
import pytest


@pytest.fixture
def folder(tmp_path):
    """Sixteen noise "photographs" of each of three people, with the archive's names."""
    rng = np.random.default_rng(0)
    for person in ("ada", "bob", "cyd"):
        (tmp_path / "data" / person).mkdir(parents=True)
        for pose in ("left", "right", "straight", "up"):
            for expression in ("angry", "happy"):
                for eyes in ("open", "sunglasses"):
                    name = f"{person}_{pose}_{expression}_{eyes}_2.pgm"
                    pixels = rng.integers(0, 256, (60, 64), dtype=np.uint8)
                    imageio.imwrite(tmp_path / "data" / person / name, pixels)
    return tmp_path / "data"
