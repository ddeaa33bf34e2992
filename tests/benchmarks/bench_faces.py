"""Measure `make_faces`: images a second, and what each factor is worth. Prints Markdown.

Run it as `python tests/benchmarks/bench_faces.py`. A factor's worth is the half squared error at
32 x 32 (images in [0, 1], summed over pixels, mean over images) that is lost by showing the mean
over the factor's values.
"""

from __future__ import annotations

import time

import numpy as np

from pythae_gated.datasets import faces

TARGET_RATE = 5_000  # images of 64 x 64 a second
TARGET_WORTH = 0.5  # a VAE learned nothing of factors that were worth less


def images_per_second(n: int, image_size: int, repeats: int = 5) -> float:
    """Return the rate of the fastest repeat."""
    seconds = []
    for seed in range(repeats):
        start = time.perf_counter()
        faces.make_faces(n, image_size=image_size, seed=seed)
        seconds.append(time.perf_counter() - start)
    return n / min(seconds)


def worth(name: str, n: int = 2000, image_size: int = 32) -> float:
    """Return the half squared error that is lost by averaging over the factor's values."""
    _, factors = faces.make_faces(n, image_size=image_size)
    images = faces._render(factors, image_size).astype(np.float32) / 255
    mean = np.zeros_like(images)
    values = np.unique(factors[name])
    for value in values:
        changed = {**factors, name: np.full(n, value)}
        mean += faces._render(changed, image_size).astype(np.float32) / 255 / len(values)
    return float(0.5 * ((images - mean) ** 2).sum((1, 2, 3)).mean())


def main() -> None:
    print("| image size | images a second | target |\n| --- | --- | --- |")
    print(f"| 32 | {images_per_second(20_000, 32):,.0f} | |")
    print(f"| 64 | {images_per_second(10_000, 64):,.0f} | {TARGET_RATE:,} |")
    print("\n| factor | worth at 32 x 32 | target |\n| --- | --- | --- |")
    for name in ("yaw", "pitch", "smile", "mouth", "brow", "identity"):
        print(f"| {name} | {worth(name):.1f} | {TARGET_WORTH} |")


if __name__ == "__main__":
    main()
