"""Time of `dci`, accuracy of its forests, and the importance that they credit to noise.

    python tests/benchmarks/bench_metrics.py             settings of the forests
    python tests/benchmarks/bench_metrics.py --boosting  estimators of `dci` side by side

The codes are noisy and have 16 dimensions; the dimensions that encode each of the six factors are
known, so all other importance is an error. Every row but the first is scikit-learn's forest
with that setting changed. The estimators are compared on 10,000 + 5,000 codes of 10 dimensions and
factors of 3 to 40 values, where boosting takes minutes.
"""

import argparse
import time
from typing import Any

import numpy as np
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
from sklearn.linear_model import Lasso
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pythae_gated.metrics import DCI, dci, forests

DIMENSIONS = {  # factor -> the dimensions that encode it
    "clean": [0],
    "person": [1, 2, 3, 4, 5, 6],
    "noisy_class": [7, 8],
    "noisy_float": [9, 10],
    "few_values": [11],
    "curved": [12, 13],
}
OURS = forests.FOREST
SETTINGS: dict[str, dict[str, Any]] = {
    "ours": OURS,
    "scikit-learn's": {},
    "ours, classes see sqrt(L) a split": {**OURS, "max_features": "sqrt"},
    "ours, leaves of one": {**OURS, "min_samples_leaf": 1},
    "ours, all rows a tree": {**OURS, "max_samples": None},
    "ours, 100 trees": {**OURS, "n_estimators": 100},
}


def make_codes(n: int, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Codes (n, 16), of which 14 and 15 are pure noise, and their factors."""
    rng, means = np.random.default_rng(seed), np.random.default_rng(99).normal(size=(20, 6))
    z = rng.normal(size=(n, 16))
    factors = {
        "clean": rng.integers(0, 7, n),
        "person": rng.integers(0, 20, n),
        "noisy_class": rng.integers(0, 3, n),
        "noisy_float": rng.uniform(size=n),
        "few_values": rng.integers(0, 3, n) / 2,
        "curved": rng.uniform(size=n),
    }
    z[:, 0] = factors["clean"] / 2 + 0.1 * z[:, 0]
    z[:, 1:7] += 2 * means[factors["person"]]
    z[:, 7:9] += np.array([[-1, 0], [1, 0], [0, 1.5]])[factors["noisy_class"]]
    z[:, 9:11] += 3 * factors["noisy_float"][:, None]
    z[:, 11] += 2 * factors["few_values"]
    z[:, 12] = np.cos(3 * factors["curved"]) + 0.1 * z[:, 12]
    z[:, 13] = np.sin(3 * factors["curved"]) + 0.1 * z[:, 13]
    return z, factors


def run(setting: dict[str, Any], fit: int, test: int) -> tuple[DCI, float, float]:
    """`dci` with this forest, its wall time, and its CPU time, in seconds."""
    forests.FOREST = setting
    fitted, held_out = make_codes(fit), make_codes(test, seed=1)
    start, cpu = time.perf_counter(), time.process_time()
    result = dci(*fitted, test=held_out)
    return result, time.perf_counter() - start, time.process_time() - cpu


def make_classes(n: int, seed: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Codes (n, 10) and five discrete factors, each of them in two noisy dimensions."""
    rng = np.random.default_rng(seed)
    codes, factors = 0.1 * rng.normal(size=(n, 10)), {}
    for j, number in enumerate((3, 5, 10, 20, 40)):
        values = rng.integers(0, number, n)
        angle = 2 * np.pi * values / number
        codes[:, 2 * j : 2 * j + 2] += np.stack([np.cos(angle), np.sin(angle)], axis=1)
        factors[f"{number} values"] = values
    return codes, factors


def compare_estimators() -> None:
    """Print the time and the results of each estimator."""
    fitted, held_out = make_classes(10_000, seed=0), make_classes(5_000, seed=1)
    print(f"{'estimator':20}{'seconds':>9}{'CPU':>9}{'of boosting':>13}{'D':>7}{'C':>7}  scores")
    boosting = 0.0
    estimators = {
        "gradient boosting": (
            GradientBoostingClassifier(random_state=0),
            GradientBoostingRegressor(random_state=0),
        ),
        "random forest": None,
        "lasso": make_pipeline(StandardScaler(), Lasso(alpha=0.02)),
    }
    for name, estimator in estimators.items():
        start, cpu = time.perf_counter(), time.process_time()
        result = dci(*fitted, test=held_out, estimator=estimator)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        boosting = boosting or seconds
        scores = " ".join(f"{score:.3f}" for score in result.informativeness.values())
        print(
            f"{name:20}{seconds:9.2f}{cpu:9.2f}{seconds / boosting:13.4f}"
            f"{result.disentanglement:7.3f}{result.completeness:7.3f}  {scores}",
            flush=True,
        )


def compare_forests() -> None:
    """Print a table for each number of rows."""
    for fit, test in ((500, 5_000), (10_000, 5_000)):
        print(f"\n{fit} + {test} codes: score / share of importance in its dimensions")
        print(
            f"{'forest':34}{'seconds':>8}{'CPU':>8}"
            + "".join(f"{name:>14}" for name in DIMENSIONS)
        )
        for name, setting in SETTINGS.items():
            result, seconds, cpu = run(setting, fit, test)
            cells = [
                f"{result.informativeness[factor]:.3f} / {result.importance[where, j].sum():.2f}"
                for j, (factor, where) in enumerate(DIMENSIONS.items())
            ]
            print(
                f"{name:34}{seconds:8.2f}{cpu:8.2f}" + "".join(f"{c:>14}" for c in cells),
                flush=True,
            )


def main() -> None:
    """Print one of the comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--boosting", action="store_true", help="compare the estimators (minutes)")
    compare_estimators() if parser.parse_args().boosting else compare_forests()


if __name__ == "__main__":
    main()
