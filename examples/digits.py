"""Handwritten digits of scikit-learn: the class in a partition of its own, the style in the rest.

    python examples/digits.py

1,797 images of 8 x 8 pixels, which come with scikit-learn; a fifth is held out.
"""

import numpy as np
from side_by_side import evaluate_both, parse, train_both
from sklearn.datasets import load_digits

from pythae_gated.metrics import Evaluation
from pythae_gated.plots import save_png, swap_grid

PARTITIONS = {"digit": 6, "rest": 10}
STEPS = 1_800


def main() -> dict[str, Evaluation]:
    """Train and evaluate both models."""
    args = parse(__doc__.splitlines()[0], steps=STEPS, name="digits", needs_data=False)
    images, digit = read_digits()
    held_out = np.random.default_rng(args.seed).random(len(images)) < 0.2
    models = train_both(images[~held_out], {"digit": digit[~held_out]}, PARTITIONS, args)
    found = evaluate_both(
        models,
        (images[~held_out], {"digit": digit[~held_out]}),
        (images[held_out], {"digit": digit[held_out]}),
        {"digit": "digit"},
        args,
    )
    _, first = np.unique(digit[held_out], return_index=True)  # one of each class
    rows, columns = images[held_out][first], images[held_out][:10]
    grid = swap_grid(models[1], rows, columns, "digit")
    print(f"Class of the row, style of the column: {args.output / 'swap_digit.png'}")
    save_png(args.output / "swap_digit.png", grid, rows=rows, columns=columns)
    return found


def read_digits() -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 1, 8, 8) float32 in [0, 1], and their class (N,)."""
    data = load_digits()
    return (data.images[:, None] / 16).astype(np.float32), data.target


if __name__ == "__main__":
    main()
