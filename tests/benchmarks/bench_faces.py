"""Benchmark `make_faces`: images per second, and the effect of each factor. Prints Markdown.

Run it as `python tests/benchmarks/bench_faces.py`. A factor's effect is half the squared
error, at 32 x 32, of the mean image over the factor's values (images in [0, 1], summed over
pixels, mean over images).
"""

from __future__ import annotations

import time

import numpy as np

from pythae_gated.datasets import faces

TARGET_RATE = 5_000  # images of 64 x 64 per second
TARGET_EFFECT = 0.5  # a VAE did not learn factors of a smaller effect


def images_per_second(n: int, image_size: int, repeats: int = 5) -> float:
    """Return the rate of the fastest repeat."""
    seconds = []
    for seed in range(repeats):
        start = time.perf_counter()
        faces.make_faces(n, image_size=image_size, seed=seed)
        seconds.append(time.perf_counter() - start)
    return n / min(seconds)


def effect(name: str, n: int = 2000, image_size: int = 32) -> float:
    """Return half the squared error of the mean over the factor's values."""
    _, factors = faces.make_faces(n, image_size=image_size)
    images = faces._render(factors, image_size).astype(np.float32) / 255
    mean = np.zeros_like(images)
    values = np.unique(factors[name])
    for value in values:
        changed = {**factors, name: np.full(n, value)}
        mean += faces._render(changed, image_size).astype(np.float32) / 255 / len(values)
    return float(0.5 * ((images - mean) ** 2).sum((1, 2, 3)).mean())


def main() -> None:
    print("| image size | images per second | target |\n| --- | --- | --- |")
    print(f"| 32 | {images_per_second(20_000, 32):,.0f} | |")
    print(f"| 64 | {images_per_second(10_000, 64):,.0f} | {TARGET_RATE:,} |")
    print("\n| factor | effect at 32 x 32 | target |\n| --- | --- | --- |")
    for name in ("yaw", "pitch", "smile", "mouth", "brow", "identity"):
        print(f"| {name} | {effect(name):.1f} | {TARGET_EFFECT} |")


if __name__ == "__main__":
    main()
