"""What a gated model's partitions are good for: codes by name, swapped codes, and new ones."""

from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from pythae_gated.inference import (
    Images,
    as_images,
    decode,
    inference,
    like_model,
    posterior,
    resolve_partitions,
)
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
            codes = self.partitions.exchange(self._means(a), self._means(b), names)
            images: Tensor = self.decoder(codes)["reconstruction"]
            return images

    def generate(
        self,
        x: Images,  # (B, *input_dim)
        vary: str | Iterable[str],
        n: int = 8,
        *,
        source: Images | None = None,  # (S, *input_dim)
        generator: torch.Generator | None = None,
    ) -> Tensor:  # (B, n, *input_dim)
        """Make n variations of each image: some partitions' codes drawn anew, the others kept.

        Without gradient, in eval mode. The kept codes are the posterior means of `x`.

        Args:
            x: The images to vary.
            vary: The name of the partition whose code is drawn anew, or several.
            n: Number of variations of each image, at least 1.
            source: Images to take the new codes from: those of one image, drawn at random for
                each variation, for all varied partitions together (posterior means). None draws
                them from the prior, N(0, I).
            generator: A generator on the CPU, where the draws are made on whatever device the
                model is; None is torch's global one.

        Returns:
            The variations, in the model's device and dtype.

        Raises:
            PartitionError: Where no partition has this name, or none is named.
            ValueError: Where n is not an int of at least 1, `x` or `source` is not images of the
                model's shape or holds NaN, or the generator is not on the CPU.

        Example:
            >>> from pythae_gated import GatedVAE, GatedVAEConfig
            >>> sizes = {"pose": 1, "identity": 2}
            >>> model = GatedVAE(GatedVAEConfig((1, 4, 4), latent_dim=3, partitions=sizes))
            >>> model.generate(torch.rand(5, 1, 4, 4), vary="pose", n=6).shape
            torch.Size([5, 6, 1, 4, 4])
        """
        images = draw_variations(
            self, x, vary, n, self.partitions, source=source, generator=generator
        )
        return like_model(self, images)

    def _means(self, x: Images) -> Tensor:
        images = like_model(self, as_images(x))
        means: Tensor = self.encoder(images)["embedding"]
        return means.clone()


def draw_variations(
    model: nn.Module,
    x: Images,  # (B, *input_dim)
    vary: str | Iterable[str],
    n: int,
    partitions: Partitions | Mapping[str, int] | None,
    *,
    source: Images | None = None,  # (S, *input_dim)
    generator: torch.Generator | None = None,
) -> Tensor:  # (B, n, *input_dim)
    """`PartitionedCodes.generate` for any Pythae VAE: float32 on the CPU, made in batches."""
    if isinstance(n, bool) or not isinstance(n, Integral) or n < 1:
        raise ValueError(f"n={n!r}: expected an int, at least 1 variation of each image")
    if generator is not None and generator.device.type != "cpu":
        raise ValueError(
            f"the generator is on {generator.device}: draws are made on the CPU; give a "
            "torch.Generator()"
        )
    _check_images(model, "x", x)
    kept = posterior(model, x)[0]
    parts = resolve_partitions(model, partitions, kept.shape[1])
    names = parts.resolve(vary)
    if source is None:
        drawn = torch.randn((len(kept), n, kept.shape[1]), generator=generator)
    else:
        _check_images(model, "source", source)
        drawn = _codes_of(model, source, (len(kept), n), generator)
    z = parts.exchange(kept[:, None].expand_as(drawn), drawn, names)  # (B, n, L)
    return decode(model, z.flatten(0, 1)).unflatten(0, (len(kept), n))


def _codes_of(
    model: nn.Module,
    source: Images,  # (S, *input_dim)
    shape: tuple[int, int],
    generator: torch.Generator | None,
) -> Tensor:  # (*shape, L)
    """Posterior means of random images of the source. Only the images drawn are encoded."""
    drawn = torch.randint(len(source), shape, generator=generator)
    rows, at = torch.unique(drawn, return_inverse=True)
    return posterior(model, source[rows.numpy()])[0][at]


def _check_images(model: nn.Module, name: str, images: Images) -> None:
    shape, input_dim = tuple(images.shape), getattr(model, "input_dim", None)
    expected = shape[1:] if input_dim is None else tuple(input_dim)  # a custom network's: unknown
    if len(shape) < 2 or shape[0] < 1 or shape[1:] != expected:
        size = ", ".join(map(str, expected)) or "*input_dim"
        raise ValueError(
            f"{name} has shape {shape}: expected at least one image, (N, {size}); "
            f"one image alone is {name}[None]"
        )
