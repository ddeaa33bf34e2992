"""Pictures of what latent dimensions and partitions encode, as arrays and as PNG files.

For any Pythae VAE, gated or not, of images with 1 or 3 channels or of rows of a table. The arrays
are grids of images (C, H, W), with pixels in [0, 1], or of rows (D,); `tile` and `save_png` lay
them out, rows as bar charts.
"""

from pythae_gated.plots.chart import importance_chart
from pythae_gated.plots.grids import reconstructions, swap_grid, traversals, variations
from pythae_gated.plots.layout import save_png, tile

__all__ = [
    "importance_chart",
    "reconstructions",
    "save_png",
    "swap_grid",
    "tile",
    "traversals",
    "variations",
]
