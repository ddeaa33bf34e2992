import math
import re
from pathlib import Path

import pytest
import torch

from pythae_gated import GatedBetaVAEConfig

README = Path(__file__).parents[2] / "examples" / "README.md"


def trimmed(**kwargs):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names = {"__name__": "cookbook"}
    exec(code, names)
    return names["TrimmedBetaVAE"](GatedBetaVAEConfig((1, 2, 2), 2, **kwargs))


def test_the_trimmed_model_of_the_cookbook_ignores_the_largest_errors():
    model = trimmed()
    errors = torch.tensor([1.0, 2.0, 3.0, 50.0])
    recon_x = (errors / 2).sqrt().reshape(-1, 1, 1, 1).expand(4, 1, 2, 2)
    zeros = torch.zeros(4, 2)
    loss, _, _ = model.loss_function(recon_x, torch.zeros(4, 1, 2, 2), zeros, zeros, zeros)
    assert loss.item() == pytest.approx(2.0)


def test_the_trimmed_model_trims_the_loss_of_bce_too():
    zeros = torch.zeros(4, 2)
    recon_x = torch.tensor([0.1, 0.1, 0.1, 0.9]).reshape(-1, 1, 1, 1).expand(4, 1, 2, 2)
    model = trimmed(reconstruction_loss="bce")
    loss, _, _ = model.loss_function(recon_x, torch.zeros(4, 1, 2, 2), zeros, zeros, zeros)
    assert loss.item() == pytest.approx(-4 * math.log(0.9))
