"""The data sets of the study: what is labelled, and what is held out."""

import gzip
import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from cmu_faces import read_photographs
from digits import read_digits

from pythae_gated.datasets import make_faces

NAMES = ("faces", "photographs", "digits", "speech", "mice")
LARGE = "large faces"
MNIST = "mnist"
LETTERS = "letters"
FONTS = (  # of matplotlib
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono",
    "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic",
    "STIXGeneral", "STIXGeneralItalic", "cmr10", "cmss10", "cmtt10",
)  # fmt: skip


@dataclass(frozen=True)
class Sources:
    """Where the data lies that is not made here; None: its runs are left out.

    photographs: folder of the CMU Face Images. speech: npz with images (N, 1, 32, 32) uint8,
    f_digit and f_speaker. mice: npz with images (N, D) float32, f_genotype, f_behavior, f_mouse.
    mnist: folder with the test images of MNIST, t10k-images-idx3-ubyte.gz, and their labels.
    """

    photographs: Path | None = None
    speech: Path | None = None
    mice: Path | None = None
    mnist: Path | None = None

    def has(self, name: str) -> bool:
        """Whether a data set can be loaded."""
        if name == LETTERS:
            return find_spec("matplotlib") is not None
        return getattr(self, name, True) is not None


@dataclass(frozen=True)
class Part:
    """Images (N, *input_dim) float32, and factors, name -> (N,)."""

    images: np.ndarray
    factors: Mapping[str, np.ndarray]

    def __getitem__(self, rows: np.ndarray | slice) -> "Part":
        return Part(self.images[rows], {name: of[rows] for name, of in self.factors.items()})


@dataclass(frozen=True)
class DataSet:
    """All images and factors, the labelled ones by partition, and the partitions' sizes.

    Items of equal `groups` are held out together. `unseen` is a factor of which one value (a
    speaker) is held out besides. With `folds`, five successive seeds hold out five folds.
    """

    all: Part
    labelled: Mapping[str, tuple[str, ...]]
    sizes: Mapping[str, int]
    groups: np.ndarray | None = None
    unseen: str | None = None
    folds: bool = False

    @property
    def intended(self) -> dict[str, str]:
        """Factor -> partition."""
        return {factor: name for name, those in self.labelled.items() for factor in those}

    def split(self, seed: int) -> tuple[Part, Part, Part]:
        """Training images, a held-out fifth, and the images of a value of `unseen`."""
        groups = np.arange(len(self.all.images)) if self.groups is None else self.groups
        hidden = np.zeros(len(groups), dtype=bool)
        if self.unseen is not None:
            values = self.all.factors[self.unseen]
            names = np.unique(values)
            hidden = values == names[seed % len(names)]
        names = np.unique(groups[~hidden])
        if self.folds:
            shuffled = np.random.default_rng(seed // 5).permutation(names)
            chosen = np.array_split(shuffled, 5)[seed % 5]
        else:
            chosen = np.random.default_rng(seed).choice(names, len(names) // 5, replace=False)
        held_out = ~hidden & np.isin(groups, chosen)
        return self.all[~hidden & ~held_out], self.all[held_out], self.all[hidden]


@lru_cache(maxsize=1)
def load(name: str, sources: Sources, n_faces: int = 24_000) -> DataSet:
    """One of `NAMES`, or `LARGE`, `MNIST` or `LETTERS`.

    Faces: identity is not labelled; in `LARGE`, it has a colour.
    """
    if name in ("faces", LARGE):
        pixels, factors = make_faces(n_faces, image_size=64 if name == LARGE else 32)
        faces = pixels / np.float32(255)
        if name == LARGE:
            inks = np.random.default_rng(0).uniform(0.4, 1, (20, 3, 1, 1)).astype(np.float32)
            faces = 1 - (1 - faces) * inks[factors["identity"]]
        labelled = {"pose": ("yaw", "pitch"), "expression": ("smile", "mouth", "brow")}
        return DataSet(Part(faces, factors), labelled, {"pose": 4, "expression": 6, "rest": 6})
    if name == "photographs":
        pixels, factors = read_photographs(sources.photographs)
        photographs = Part(pixels / np.float32(255), factors)
        sizes = {"pose": 4, "person": 4, "rest": 4}
        labelled = {"pose": ("pose",), "person": ("person",)}
        return DataSet(photographs, labelled, sizes, folds=True)
    if name in ("digits", MNIST):
        images, digit = read_digits() if name == "digits" else read_mnist(sources.mnist)
        sizes = {"digit": 6, "rest": 10}
        return DataSet(Part(images, {"digit": digit}), {"digit": ("digit",)}, sizes)
    if name == LETTERS:
        labelled = {"letter": ("letter",), "font": ("font",)}
        return DataSet(make_letters(4_000), labelled, {"letter": 6, "font": 6, "rest": 6})
    table = np.load(sources.speech if name == "speech" else sources.mice)
    if name == "speech":
        factors = {"digit": table["f_digit"], "speaker": table["f_speaker"]}
        speech = Part(table["images"] / np.float32(255), factors)
        sizes = {"digit": 6, "speaker": 6, "rest": 6}
        labelled = {factor: (factor,) for factor in factors}
        return DataSet(speech, labelled, sizes, unseen="speaker")
    factors = {"genotype": table["f_genotype"], "behavior": table["f_behavior"]}
    labelled = {factor: (factor,) for factor in factors}
    sizes = {"genotype": 4, "behavior": 4, "rest": 8}
    return DataSet(Part(table["images"], factors), labelled, sizes, table["f_mouse"])


def read_mnist(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """The 10,000 test images, padded to (N, 1, 32, 32), in [0, 1], and their class (N,)."""
    with gzip.open(folder / "t10k-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(folder / "t10k-labels-idx1-ubyte.gz") as file:
        digit = np.frombuffer(file.read(), np.uint8, offset=8)
    padded = np.pad(pixels, ((0, 0), (0, 0), (2, 2), (2, 2)))
    return padded / np.float32(255), digit.astype(np.int64)


def make_letters(n: int, seed: int = 0) -> Part:
    """Capital letters, 32 x 32, in several fonts, at random positions and sizes in pixels."""
    import matplotlib  # of the extra `plots`
    from PIL import Image, ImageDraw, ImageFont

    folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    rng = np.random.default_rng(seed)
    factors = {"letter": rng.integers(26, size=n), "font": rng.integers(len(FONTS), size=n)}
    factors |= {"size": rng.uniform(18, 28, n)} | {axis: rng.uniform(-4, 4, n) for axis in "xy"}
    images = np.empty((n, 1, 32, 32), np.float32)
    for image, letter, font, size, x, y in zip(images, *factors.values(), strict=True):
        large = Image.new("L", (128, 128))  # four times the size, to be averaged
        face = ImageFont.truetype(str(folder / f"{FONTS[font]}.ttf"), 4 * size)
        at = (64 + 4 * x, 64 - 4 * y)
        text = string.ascii_uppercase[letter]
        ImageDraw.Draw(large).text(at, text, fill=255, font=face, anchor="mm")
        image[0] = np.asarray(large, np.float32).reshape(32, 4, 32, 4).mean((1, 3)) / 255
    return Part(images, factors)


def label(
    data: DataSet, part: Part, rng: np.random.Generator, share: float, wrong: float
) -> dict[str, np.ma.MaskedArray]:
    """Partition -> labels (N, F) of a share of the images, of which some are another image's."""
    labels = {}
    for name, chosen in data.labelled.items():
        values = np.stack([part.factors[factor] for factor in chosen], axis=1)
        swapped = np.flatnonzero(rng.random(len(values)) < wrong)
        values[swapped] = values[rng.permutation(swapped)]
        hidden = rng.random(len(values)) >= share
        labels[name] = np.ma.array(values, mask=np.repeat(hidden[:, None], len(chosen), axis=1))
    return labels
