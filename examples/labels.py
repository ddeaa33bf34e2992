"""Predict a factor of unlabelled images from its partition, and list the labels that look wrong.

Both use a logistic regression on codes of the factor's partition. They are tested on known labels:
one model is trained with part of them hidden, another one with some of them replaced. Figures are
printed for each seed; "pixels" is the same classifier on the images themselves, "neighbours" one
of their 15 nearest neighbours:

    python examples/labels.py
    python examples/labels.py --data FILE --factors NAME NAME --steps 3600

Without FILE: scikit-learn's digits. FILE: npz with images (N, C, H, W) or (N, D), uint8 or float
in [0, 1], and discrete factors, f_NAME (N,).
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from digits import read_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from training import make_networks, train

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, PairedDataset
from pythae_gated.callbacks import GatedSchedule
from pythae_gated.datasets import mean_and_beta
from pythae_gated.transformers import PartitionTransformer

SIZE, REST = 6, 10  # dimensions of each labelled partition, and of the rest
BATCH, LEARNING_RATE = 64, 2e-3
FOLDS = StratifiedKFold(5, shuffle=True, random_state=0)  # the images may be sorted
SUSPECT = 0.1  # a label looks wrong if its predicted probability is lower
FEATURES = ("means", "average of 8 samples", "one sample", "pixels", "neighbours")
UNLABELLED = ("labels set aside", "unlabelled images", "cross-validated")
WRONG = ("precision", "recall", "average precision", "proposal correct")

Labels = dict[str, np.ndarray]  # factor -> (N,) of int
Results = dict[str, list[float]]  # row of a table -> figures


def main() -> None:
    """Train two models per seed and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="npz; default: scikit-learn's digits")
    parser.add_argument("--factors", nargs="+", help="default: all")
    parser.add_argument("--known", type=float, default=0.2, help="share of images with labels")
    parser.add_argument("--wrong", type=float, default=0.05, help="share of wrong labels")
    parser.add_argument("--robust", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--steps", type=int, default=1_800)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("output/labels"))
    args = parser.parse_args()
    images, truth = read(args.data, args.factors)
    unlabelled, wrong = [], []
    for seed in range(args.seeds):
        unlabelled.append(predict_unlabelled(images, truth, seed, args))
        wrong.append(find_wrong(images, truth, seed, args))
    print(f"\nUNLABELLED IMAGES PREDICTED: accuracy, {args.known:.0%} of the images labelled")
    print(as_markdown(UNLABELLED, unlabelled))
    print(f"\nLABELS THAT LOOK WRONG, {args.wrong:.0%} of all labels wrong")
    print(as_markdown(WRONG, wrong))


def read(path: Path | None, names: list[str] | None) -> tuple[np.ndarray, Labels]:
    """Images, and the factors as ints from 0."""
    if path is None:
        images, digit = read_digits()
        return images, {"digit": digit}
    with np.load(path) as file:
        names = names or [key[2:] for key in file.files if key.startswith("f_")]
        factors = {name: np.unique(file[f"f_{name}"], return_inverse=True)[1] for name in names}
        images = file["images"]
    return images / np.float32(255) if images.dtype == np.uint8 else images, factors


def fit_model(
    images: np.ndarray,
    labels: dict[str, np.ndarray],  # NaN: unknown
    seed: int,
    args: argparse.Namespace,
    *,
    robust: bool = True,
) -> GatedBetaVAE:
    """Train with one partition per factor and the settings of the README."""
    mean, beta = mean_and_beta(images)
    sizes = {name: SIZE for name in labels} | {"rest": REST}
    config = GatedBetaVAEConfig(
        images.shape[1:],
        latent_dim=sum(sizes.values()),
        beta=beta,
        partitions=sizes,
        rest=["rest"],
        robust_pairs=robust,
    )
    model = GatedBetaVAE(config, *make_networks(sum(sizes.values()), mean, seed=seed))
    pairs = PairedDataset(images, model.partitions, labels)
    epochs = max(1, round(args.steps * BATCH / len(images)))
    settings: dict[str, Any] = {"batch_size": BATCH, "learning_rate": LEARNING_RATE, "seed": seed}
    train(model, pairs, args.output, epochs=epochs, callbacks=[GatedSchedule()], **settings)
    return model


def make_features(model: GatedBetaVAE, name: str, images: np.ndarray) -> dict[str, np.ndarray]:
    """Codes of a partition, and the pixels, twice, for comparison: kind -> (N, D)."""
    codes = [
        PartitionTransformer(model, name, codes=kind, random_state=seed).fit_transform(images)
        for kind, seed in [("mean", 0), *(("sample", seed) for seed in range(8))]
    ]
    pixels = images.reshape(len(images), -1)
    features = codes[0], np.mean(codes[1:], axis=0), codes[1], pixels, pixels
    return dict(zip(FEATURES, features, strict=True))


def make_classifier(kind: str) -> Any:
    """For a kind of features: the same for codes and pixels, but for "neighbours"."""
    if kind == "neighbours":
        return KNeighborsClassifier(15)
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1_000))


def predict_unlabelled(
    images: np.ndarray, truth: Labels, seed: int, args: argparse.Namespace
) -> Results:
    """Hide most labels, train, and predict the hidden ones: three accuracies.

    A fifth of the known labels is set aside, that is, not given to the model, to estimate the
    accuracy. Cross-validation on the labels that the model was trained with overestimates it.
    """
    rng = np.random.default_rng(seed)
    known = rng.random(len(images)) < args.known
    aside = known & (rng.random(len(images)) < 0.2)
    given = known & ~aside
    labels = {name: np.where(given, values, np.nan) for name, values in truth.items()}
    model, results = fit_model(images, labels, seed, args), {}
    for name, values in truth.items():
        for kind, codes in make_features(model, name, images).items():
            classifier = make_classifier(kind).fit(codes[given], values[given])
            results[f"{name}, {kind}"] = [
                classifier.score(codes[aside], values[aside]),
                classifier.score(codes[~known], values[~known]),
                cross_val_score(classifier, codes[given], values[given], cv=FOLDS).mean(),
            ]
    return results


def find_wrong(images: np.ndarray, truth: Labels, seed: int, args: argparse.Namespace) -> Results:
    """Replace some labels, train on all, and look for the replaced ones."""
    rng = np.random.default_rng(seed)
    labels = {name: replace_some(values, args.wrong, rng) for name, values in truth.items()}
    model, results = fit_model(images, labels, seed, args, robust=args.robust), {}
    for name, values in labels.items():
        is_wrong = values != truth[name]
        for kind, codes in make_features(model, name, images).items():
            probability, proposal = out_of_fold(make_classifier(kind), codes, values)
            listed = np.flatnonzero(probability < SUSPECT)
            listed = listed[np.argsort(probability[listed])]  # the most doubtful first
            found = listed[is_wrong[listed]]
            results[f"{name}, {kind}"] = [
                len(found) / max(len(listed), 1),
                len(found) / max(is_wrong.sum(), 1),
                average_precision_score(is_wrong, -probability),
                (proposal == truth[name])[found].mean(),
            ]
            if seed == 0 and kind == "means":
                print(f"\n{name}: {len(listed)} of {len(values)} labels look wrong; the first 5:")
                for i in listed[:5]:
                    p = f"{probability[i]:.4f}"
                    print(f"  image {i}: label {values[i]} (p = {p}), predicted {proposal[i]}")
    return results


def replace_some(values: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Labels of which a share is replaced, each by one of the other labels."""
    changed, n = values.copy(), values.max() + 1
    chosen = rng.permutation(len(values))[: round(share * len(values))]
    changed[chosen] = (values[chosen] + rng.integers(1, n, len(chosen))) % n
    return changed


def out_of_fold(
    classifier: Any, codes: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The probability of each given label, predicted without it, and the most probable label."""
    classes, column = np.unique(values, return_inverse=True)
    of_all = cross_val_predict(classifier, codes, values, cv=FOLDS, method="predict_proba")
    return of_all[np.arange(len(values)), column], classes[of_all.argmax(axis=1)]


def as_markdown(columns: tuple[str, ...], runs: list[Results]) -> str:
    """A table whose cells have one figure per seed."""
    lines = [["from", *columns], ["---"] * (len(columns) + 1)]
    for row in runs[0]:
        figures = zip(*(run[row] for run in runs), strict=True)
        lines.append([row, *(" / ".join(f"{value:.2f}" for value in each) for each in figures)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    main()
