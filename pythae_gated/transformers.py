"""Codes of selected partitions as features for scikit-learn."""

import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import nn
from typing_extensions import Self

from pythae_gated.datasets.frames import check_columns
from pythae_gated.datasets.images import Images, open_images
from pythae_gated.inference import posterior, resolve_partitions, sample_posterior
from pythae_gated.partitions import Partitions


class PartitionTransformer(TransformerMixin, BaseEstimator):
    """Transforms images to the codes of some partitions of a trained VAE.

    A scikit-learn transformer, for example to use the identity code without the pose code as
    features in a pipeline. The model is not trained; `fit` only checks that it fits the images.

    By default the features are one posterior sample per image, as in `evaluate`: a factor that
    is hidden by the posterior's noise may still be predicted from the means, or from an average
    of many samples. Means are better where leakage of other factors is acceptable.

    Args:
        model: Any trained Pythae VAE with a Gaussian posterior, gated or not.
        keep: The partition, or partitions, whose codes are the features; None: all.
        partitions: Name -> size, for an ungated model; None: the model's own.
        batch_size: Images encoded at once.
        codes: `"sample"` or `"mean"`, of the posterior.
        random_state: Seed or generator of the samples, as in scikit-learn. With an int, the same
            array of images always gives the same codes, at the same `batch_size`; an image
            transformed in another array gets other noise.

    Attributes:
        partitions_: The `Partitions` of the latent space.
        keep_: The kept partitions, in the order of the features.
        n_features_in_: Number of values per image.
        columns_: The columns of the images, if they are a data frame, else None.

    Raises:
        PartitionError: When fitted, if a partition does not exist or the partitions do not sum
            to the latent dimension.
        TypeError: When fitted, if the model has no Gaussian posterior.
        ValueError: If images have another shape than the model's, other columns than when fitted,
            or contain NaN; when fitted, if `codes` is neither `"sample"` nor `"mean"`.

    Example:
        >>> from pythae.models import VAE, VAEConfig
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn.pipeline import make_pipeline
        >>> model = VAE(VAEConfig(input_dim=(1, 4, 4), latent_dim=3))
        >>> identity = PartitionTransformer(model, "identity", {"pose": 1, "identity": 2})
        >>> images = np.random.default_rng(0).random((20, 1, 4, 4))
        >>> classifier = make_pipeline(identity, LogisticRegression())
        >>> classifier.fit(images, np.arange(20) % 2)[:-1].get_feature_names_out().tolist()
        ['identity0', 'identity1']
    """

    def __init__(
        self,
        model: nn.Module,
        keep: str | Iterable[str] | None = None,
        partitions: Partitions | Mapping[str, int] | None = None,
        batch_size: int = 512,
        codes: Literal["sample", "mean"] = "sample",
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.model = model
        self.keep = keep
        self.partitions = partitions
        self.batch_size = batch_size
        self.codes = codes
        self.random_state = random_state

    def fit(self, X: Images, y: object = None) -> Self:  # noqa: N803 (scikit-learn's name)
        """Check that model, partitions and images fit together; nothing is learned.

        Args:
            X: Images (N, *input_dim), or flattened (N, D): uint8, which is divided by 255, or
                float.
            y: Ignored.
        """
        if self.codes not in ("sample", "mean"):
            raise ValueError(f'codes={self.codes!r}: expected "sample" or "mean"')
        first = open_images(X).subset(np.arange(1))
        means, _ = posterior(self.model, first, self.batch_size)
        self.partitions_ = resolve_partitions(self.model, self.partitions, means.shape[1])
        names = self.partitions_.names if self.keep is None else self.keep
        self.keep_ = self.partitions_.resolve(names)
        self.n_features_in_ = first.read([0]).numel()
        self.columns_ = getattr(X, "columns", None)
        return self

    def transform(self, X: Images) -> npt.NDArray[np.float32]:  # noqa: N803
        """The codes of the images in the kept partitions, (N, dimensions kept)."""
        check_is_fitted(self)
        check_columns(self.columns_, X)
        z, log_vars = posterior(self.model, X, self.batch_size)
        if self.codes == "sample":
            # With the same seed for all sets, row i of each would have the same noise: in sets
            # that are sorted alike, the noise alone would then predict the label.
            start = check_random_state(self.random_state).randint(2**31)
            seed = zlib.crc32(z.numpy().tobytes(), start)
            z = sample_posterior((z, log_vars), torch.Generator().manual_seed(seed))
        codes = self.partitions_.split(z)
        return np.concatenate([codes[name].numpy() for name in self.keep_], axis=1)

    def get_feature_names_out(self, input_features: object = None) -> npt.NDArray[Any]:
        """Names of the features: `pose0`, `pose1`, ...; `input_features` is ignored."""
        check_is_fitted(self)
        sizes = self.partitions_.sizes
        names = [f"{name}{i}" for name in self.keep_ for i in range(sizes[name])]
        return np.array(names, dtype=object)
