"""Codes of selected partitions as features for scikit-learn."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted
from torch import nn
from typing_extensions import Self

from pythae_gated.datasets.images import Images, open_images
from pythae_gated.inference import posterior, resolve_partitions
from pythae_gated.partitions import Partitions


class PartitionTransformer(TransformerMixin, BaseEstimator):
    """Transforms images to the codes (posterior means) of some partitions of a trained VAE.

    A scikit-learn transformer, so that "identity without pose" is one step of a pipeline. The
    model is not trained; `fit` only checks that it fits the images.

    Args:
        model: Any trained Pythae VAE with a Gaussian posterior, gated or not.
        keep: The partition, or partitions, whose codes are the features; None: all.
        partitions: Name -> size, for an ungated model; None: the model's own.
        batch_size: Images encoded at once.

    Attributes:
        partitions_: The `Partitions` of the latent space.
        keep_: The kept partitions, in the order of the features.
        n_features_in_: Number of values per image.

    Raises:
        PartitionError: When fitted, if a partition does not exist or the partitions do not sum
            to the latent dimension.
        TypeError: When fitted, if the model has no Gaussian posterior.
        ValueError: If images have another shape than the model's, or contain NaN.

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
    ) -> None:
        self.model = model
        self.keep = keep
        self.partitions = partitions
        self.batch_size = batch_size

    def fit(
        self,
        X: Images,  # noqa: N803 (scikit-learn's name)  # (N, *input_dim) or (N, D)
        y: object = None,
    ) -> Self:
        """Check that model, partitions and images fit together; nothing is learned.

        Args:
            X: Images (N, *input_dim), or flattened (N, D): uint8, which is divided by 255, or
                float.
            y: Ignored.
        """
        first = open_images(X).subset(np.arange(1))
        means, _ = posterior(self.model, first, self.batch_size)
        self.partitions_ = resolve_partitions(self.model, self.partitions, means.shape[1])
        names = self.partitions_.names if self.keep is None else self.keep
        self.keep_ = self.partitions_.resolve(names)
        self.n_features_in_ = first.read([0]).numel()
        return self

    def transform(
        self,
        X: Images,  # noqa: N803  # (N, *input_dim) or (N, D)
    ) -> npt.NDArray[np.float32]:  # (N, dimensions kept)
        """The posterior means of the images in the kept partitions, concatenated."""
        check_is_fitted(self)
        means, _ = posterior(self.model, X, self.batch_size)
        codes = self.partitions_.split(means)
        return np.concatenate([codes[name].numpy() for name in self.keep_], axis=1)

    def get_feature_names_out(
        self, input_features: object = None
    ) -> npt.NDArray[Any]:  # (dimensions kept,)
        """Names of the features: `pose0`, `pose1`, ...; `input_features` is ignored."""
        check_is_fitted(self)
        sizes = self.partitions_.sizes
        names = [f"{name}{i}" for name in self.keep_ for i in range(sizes[name])]
        return np.array(names, dtype=object)
