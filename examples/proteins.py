"""Levels of 77 proteins in mice: genotype and behaviour in partitions of their own.

    python examples/proteins.py --data FILE

FILE is an npz with images (N, 77) float32 and f_genotype, f_behavior, f_mouse (N,): the table
"Mice Protein Expression" (Higuera, Gardiner and Cios, UCI Machine Learning Repository, 2015, CC BY
4.0), logarithms, standardised by protein. Rows of one animal are near copies of one another, so
that a fifth of the *animals* is held out, and models are evaluated on animals not seen before.
"""

import numpy as np
from side_by_side import evaluate_both, parse, train_both

from pythae_gated.metrics import Evaluation

PARTITIONS = {"genotype": 4, "behavior": 4, "rest": 8}
STEPS = 3_600


def main() -> dict[str, Evaluation]:
    """Train and evaluate both models."""
    args = parse(__doc__.splitlines()[0], steps=STEPS, name="proteins")
    data = np.load(args.data)
    table, mouse = data["images"], data["f_mouse"]
    factors = {name: data[f"f_{name}"] for name in ("genotype", "behavior")}
    animals = np.unique(mouse)
    rng = np.random.default_rng(args.seed)
    held_out = np.isin(mouse, rng.choice(animals, len(animals) // 5, replace=False))
    print(f"{held_out.sum()} of {len(table)} rows held out, of {len(animals) // 5} animals")

    fitted = table[~held_out], {name: values[~held_out] for name, values in factors.items()}
    test = table[held_out], {name: values[held_out] for name, values in factors.items()}
    models = train_both(*fitted, PARTITIONS, args)
    return evaluate_both(models, fitted, test, {name: name for name in factors}, args)


if __name__ == "__main__":
    main()
