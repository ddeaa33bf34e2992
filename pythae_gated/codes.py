"""What a gated model's partitions are good for: codes by name, and images with codes swapped."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from torch import Tensor

from pythae_gated.encoding import Images, as_images, inference, like_model
from pythae_gated.partitions import Partitions

if TYPE_CHECKING:
    from pythae.models import VAE as _Parent  # noqa: N811
else:
    _Parent = object


class PartitionedCodes(_Parent):
    """The helpers of a gated model. All work without gradient, in eval mode, and restore it.

    Attributes:
        partitions: The `Partitions` of the latent space.
    """

    partitions: Partitions

    def embed_partitions(
        self,
        x: Images,  # (B, *input_dim)
    ) -> dict[str, Tensor]:  # name -> (B, L_k)
        """The posterior means of images, cut into partitions. Without gradient, in eval mode."""
        with inference(self):
            return self.partitions.split(self._means(x))

    def swap(
        self,
        a: Images,  # (B, *input_dim)
        b: Images,  # (B, *input_dim)
        partition: str | Iterable[str],
    ) -> Tensor:  # (B, *input_dim)
        """Reconstruct `a` with the code of `b` in one partition or several (posterior means).

        Without gradient, in eval mode. `b` may also be one image (1, *input_dim) for all of `a`.

        Raises:
            PartitionError: Where no partition has this name.
            ValueError: Where `b` holds neither as many images as `a` nor one.
        """
        names = self.partitions.resolve(partition)
        if len(b) not in (1, len(a)):
            raise ValueError(f"{len(a)} images take the codes of as many or of one; got {len(b)}")
        with inference(self):
            codes, donors = self._means(a), self._means(b)
            for name in names:
                where = self.partitions.slices[name]
                codes[:, where] = donors[:, where]
            images: Tensor = self.decoder(codes)["reconstruction"]
            return images

    def _means(self, x: Images) -> Tensor:
        images = like_model(self, as_images(x))
        means: Tensor = self.encoder(images)["embedding"]
        return means.clone()
