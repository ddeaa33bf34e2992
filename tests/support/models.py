"""Every gated model with its parent, and batches to run them on."""

import torch
from pythae.models import (
    INFOVAE_MMD,
    VAE,
    BetaTCVAE,
    BetaTCVAEConfig,
    BetaVAE,
    BetaVAEConfig,
    DisentangledBetaVAE,
    DisentangledBetaVAEConfig,
    INFOVAE_MMD_Config,
    VAEConfig,
)

import pythae_gated
from tests.support.networks import Decoder, Encoder

MODELS = {  # gated class -> parent, its config, and what is set besides the defaults
    "GatedVAE": (VAE, VAEConfig, {}),
    "GatedBetaVAE": (BetaVAE, BetaVAEConfig, {"beta": 2.5}),
    "GatedBetaTCVAE": (BetaTCVAE, BetaTCVAEConfig, {"beta": 6.0}),
    "GatedDisentangledBetaVAE": (DisentangledBetaVAE, DisentangledBetaVAEConfig, {"C": 1.0}),
    "GatedINFOVAE_MMD": (INFOVAE_MMD, INFOVAE_MMD_Config, {"lbd": 5.0}),
    "GatedDIPVAE": (pythae_gated.DIPVAE, pythae_gated.DIPVAEConfig, {"dip_type": "ii"}),
}
CONFIGS = {
    name: getattr(pythae_gated, f"{name}{'_' if name.endswith('MMD') else ''}Config")
    for name in MODELS
}
FIRST_SCHEME = {  # of version 0.1
    "agreement": 0.0,
    "labelled_kl": 1.0,
    "kl_ratio": 1.0,
    "swap_consistency": 0.0,
    "rest_hsic": 0.0,
    "robust_pairs": False,
}
SIZES = {"pose": 2, "expression": 1, "identity": 3}
L, B = 6, 5


def make(name, *, custom=False, seed=0, **kwargs):
    config_class = CONFIGS[name]
    given = {"input_dim": (1, 4, 4), "latent_dim": L, "partitions": SIZES}
    config = config_class(**{**given, **MODELS[name][2], **kwargs})
    torch.manual_seed(seed)
    networks = (Encoder(config), Decoder(config)) if custom else ()
    return getattr(pythae_gated, name)(config, *networks)


def make_parent(name, *, custom=False, seed=0):
    parent, config_class, kwargs = MODELS[name]
    config = config_class(input_dim=(1, 4, 4), latent_dim=L, **kwargs)
    torch.manual_seed(seed)
    return parent(config, *((Encoder(config), Decoder(config)) if custom else ()))


def make_batch(gate=None):
    generator = torch.Generator().manual_seed(1)
    data, target = torch.rand(2, B, 1, 4, 4, generator=generator)
    if gate is None:  # all eight gates but the last three
        gate = torch.tensor([[i >> k & 1 for k in range(3)] for i in range(B)]).bool()
    return {"data": data, "target": target, "gate": gate}


def run(model, inputs, seed=7):
    """Outputs, and the gradients of the parameters and of each row of the encoder's outputs."""
    seen = []
    model.zero_grad()
    with model.encoder.register_forward_hook(lambda module, args, output: seen.append(output)):
        torch.manual_seed(seed)
        output = model(inputs)
    rows = [seen[0].embedding, seen[0].log_covariance]
    row_grads = torch.autograd.grad(output.loss, rows, retain_graph=True)
    output.loss.backward()
    grads = {key: value.grad.clone() for key, value in model.named_parameters()}
    return output, grads, row_grads


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def alike(name, a, b):
    """The same as the parent's to the bit; INFOVAE_MMD, whose kernels are ours, nearly so."""
    if name != "GatedINFOVAE_MMD":
        return same(a, b)
    return a.keys() == b.keys() and all(
        torch.allclose(a[key], b[key], rtol=1e-4, atol=1e-6) for key in a
    )
