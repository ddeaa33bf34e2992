"""Spoken digits: digit and speaker in partitions of their own, and a speaker never heard before.

    python examples/speech.py --data FILE

FILE is an npz with images (N, 1, 32, 32) uint8 (log-mel spectrograms), f_digit and f_speaker (N,),
made from the Free Spoken Digit Dataset (Zohar Jackson and others, CC BY-SA 4.0). Of all speakers
but one, a fifth of the recordings is held out. All recordings of one speaker, theo, are held out
as well: can their digits be predicted, and which swaps work?
"""

import numpy as np
from side_by_side import evaluate_both, parse, train_both
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC

from pythae_gated import GatedBetaVAE
from pythae_gated.metrics import Evaluation
from pythae_gated.plots import save_png, swap_grid
from pythae_gated.transformers import PartitionTransformer

PARTITIONS = {"digit": 6, "speaker": 6, "rest": 6}
UNHEARD = "theo"
STEPS = 1_800


def main() -> dict[str, Evaluation]:
    """Train and evaluate both models."""
    args = parse(__doc__.splitlines()[0], steps=STEPS, name="speech")
    data = np.load(args.data)
    images = data["images"] / np.float32(255)
    factors = {name: data[f"f_{name}"] for name in ("digit", "speaker")}
    rng = np.random.default_rng(args.seed)
    unheard = factors["speaker"] == UNHEARD
    held_out = ~unheard & (rng.random(len(images)) < 0.2)
    training, test, new = (
        (images[rows], {name: values[rows] for name, values in factors.items()})
        for rows in (~unheard & ~held_out, held_out, unheard)
    )
    models = train_both(*training, PARTITIONS, args)
    found = evaluate_both(models, training, test, {name: name for name in factors}, args)

    model = models[1]
    print(f"\n{UNHEARD.upper()}, WHOM THE MODEL HAS NEVER HEARD")
    print(predict_digits(model, training, new))
    print(evaluate_swaps(model, images, factors, test, new))
    columns = new[0][:: len(new[0]) // 8][:8]
    for name, values in test[1].items():
        _, first = np.unique(values, return_index=True)
        rows, path = test[0][first], args.output / f"swap_{name}.png"
        grid = swap_grid(model, rows, columns, name)
        print(f"{name} of the row, all else of {UNHEARD}: {path}")
        save_png(path, grid, rows=rows, columns=columns)
    return found


def predict_digits(
    model: GatedBetaVAE,
    training: tuple[np.ndarray, dict[str, np.ndarray]],
    new: tuple[np.ndarray, dict[str, np.ndarray]],
) -> str:
    """Accuracy of the digits of a new speaker, predicted from the codes of each partition."""
    lines = ["accuracy of the digit, predicted from"]
    for name in (*model.partitions.names, list(model.partitions.names)):
        transformer = PartitionTransformer(model, name, random_state=0)
        classifier = make_pipeline(transformer, LogisticRegression(max_iter=2_000))
        classifier.fit(training[0], training[1]["digit"])
        accuracy = classifier.score(new[0], new[1]["digit"])
        lines.append(f"  {name if isinstance(name, str) else 'all':8} {accuracy:.2f}")
    return "\n".join(lines)


def evaluate_swaps(
    model: GatedBetaVAE,
    images: np.ndarray,
    factors: dict[str, np.ndarray],
    test: tuple[np.ndarray, dict[str, np.ndarray]],
    new: tuple[np.ndarray, dict[str, np.ndarray]],
) -> str:
    """How often swapped spectrograms have the digit and speaker that they should have.

    The classifiers are support vector machines on the pixels of every second recording, the new
    speaker's included; reconstructions show how well they do.
    """
    rng = np.random.default_rng(0)
    classifiers = {
        name: SVC(C=10).fit(images[::2].reshape(len(images[::2]), -1), values[::2])
        for name, values in factors.items()
    }
    lines = ["predicted by a classifier of spectrograms    digit  speaker  are those expected"]
    known = np.arange(len(test[0]))
    others = rng.integers(len(new[0]), size=len(known))
    shuffled = rng.permutation(known)
    at = {
        "known": (test[0][known], {name: values[known] for name, values in test[1].items()}),
        "other": (test[0][shuffled], {n: values[shuffled] for n, values in test[1].items()}),
        "new": (new[0][others], {name: values[others] for name, values in new[1].items()}),
    }
    for kept, donor, partition in (
        ("known", "known", "rest"),  # with itself: a reconstruction
        ("new", "new", "rest"),
        ("known", "other", "digit"),
        ("new", "known", "digit"),
        ("known", "other", "speaker"),
        ("known", "new", "speaker"),
    ):
        (kept_images, expected), (donor_images, given) = at[kept], at[donor]
        decoded = model.swap(kept_images, donor_images, partition).flatten(1).cpu()
        expected = {name: (given if name == partition else expected)[name] for name in classifiers}
        digit, speaker = (
            np.mean(classifier.predict(decoded) == expected[name])
            for name, classifier in classifiers.items()
        )
        what = "reconstruction" if kept == donor else f"{partition} of {donor} speaker"
        lines.append(f"  {kept:6} speaker, {what:26} {digit:.2f}     {speaker:.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
