"""The terms of pairs against the terms written out, and what they train."""

from types import SimpleNamespace

import pytest
import torch
from pythae.models import BetaVAE
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from pythae_gated import GatedBetaVAEConfig, GatedConfigMixin, Partitions
from pythae_gated.gating.terms import (
    divergence,
    gaussian_kl,
    hsic,
    kl_weight,
    kl_weights,
    scale_gradient,
    swap_divergence,
    weigh_pairs,
)
from tests.support.models import FIRST_SCHEME, MODELS, B, L, make, make_batch, run

BETA = 2.5
REST = slice(3, 6)  # the dimensions of the identity


def loss_of(model, batch, seed=0):
    torch.manual_seed(seed)
    return model(batch).loss


def only(**weights):
    """A model with a rest and only some of the terms, and the same model without any."""
    options = {"rest": ["identity"], "closed_rest": "zero", **FIRST_SCHEME}
    return make("GatedBetaVAE", **{**options, **weights}), make("GatedBetaVAE", **options)


def posterior(model, x):
    encoded = model.encoder(x)
    mean, variance = encoded.embedding, encoded.log_covariance.exp()
    return torch.distributions.Normal(mean, variance.sqrt())


def test_gaussian_kl_is_torchs():
    mu, log_var, other_mu, other_log_var = torch.randn(4, 3, 2)
    first = torch.distributions.Normal(mu, (log_var / 2).exp())
    second = torch.distributions.Normal(other_mu, (other_log_var / 2).exp())
    expected = torch.distributions.kl_divergence(first, second)
    assert torch.allclose(gaussian_kl(mu, log_var, other_mu, other_log_var), expected, atol=1e-6)


def test_agreement_is_the_divergence_of_both_posteriors_in_open_labelled_partitions():
    model, without = only(agreement=3.0)
    batch = make_batch()
    x, t = (posterior(model, batch[key]) for key in ("data", "target"))
    divergence = torch.distributions.kl_divergence
    both = (divergence(x, t) + divergence(t, x)) / 2
    mask = batch["gate"].repeat_interleave(torch.tensor([2, 1, 3]), dim=1)
    mask[:, REST] = False
    term = loss_of(model, batch) - loss_of(without, batch)
    assert term.item() == pytest.approx(3 * BETA * (both * mask).sum(1).mean().item(), rel=1e-4)


def test_agreement_of_a_self_pair_is_zero():
    model, without = only(agreement=3.0)
    batch = make_batch()
    batch["target"] = batch["data"]
    assert loss_of(model, batch) == loss_of(without, batch)


@pytest.mark.parametrize(
    ("options", "weights"),  # of the dimensions of partitions of 2, 1 and 3, the last is the rest
    [
        ({"labelled_kl": 0.25}, [0.25, 0.25, 0.25, 1, 1, 1]),
        ({"kl_ratio": 4.0}, [0.4, 1.6, 1, 3 / 7, 6 / 7, 12 / 7]),
        ({"labelled_kl": 0.3, "kl_ratio": 9.0}, [0.06, 0.54, 0.3, 3 / 13, 9 / 13, 27 / 13]),
        ({"labelled_kl": 0.0, "kl_ratio": 9.0}, [0, 0, 0, 3 / 13, 9 / 13, 27 / 13]),
        ({"kl_ratio": 40.0}, [2 / 41, 80 / 41, 1, 0.211830, 0.669865, 2.118305]),  # 10 in the rest
    ],
)
def test_each_dimension_has_its_weight_of_the_kl(options, weights):
    model, without = only(**options)
    batch = make_batch()
    images = torch.cat([batch["data"], batch["target"]])
    prior = torch.distributions.Normal(0.0, 1.0)
    kl = torch.distributions.kl_divergence(posterior(model, images), prior)
    expected = BETA * ((torch.tensor(weights) - 1) * kl).sum(1).mean().item()
    term = loss_of(model, batch) - loss_of(without, batch)
    assert term.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("power", "ratio"), [(0.5, 2.0), (0.5004, 2.0), (0.0, 1.0)])
def test_the_ratio_of_the_weights_is_raised_to_a_power(power, ratio):
    model, _ = only(kl_ratio=4.0)
    expected, _ = only(kl_ratio=ratio)
    model.annealing = power
    assert loss_of(model, make_batch()) == loss_of(expected, make_batch())


def test_the_ratio_in_the_rest_is_limited_before_it_is_raised():
    partitions = Partitions({"pose": 2, "identity": 2}, rest=["identity"])
    pose, identity = kl_weights(partitions, 1.0, 100.0, 0.5, torch.device("cpu")).view(2, 2)
    assert (pose[1] / pose[0]).item() == pytest.approx(10)
    assert (identity[1] / identity[0]).item() == pytest.approx(10**0.5)


def test_agreement_is_annealed():
    model, _ = only(agreement=3.0)
    expected, _ = only(agreement=1.5)
    model.annealing = 0.5
    losses = [loss_of(each, make_batch()).item() for each in (model, expected)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_a_model_trains_whose_first_pairs_were_seen_in_inference_mode():
    kl_weights.cache_clear()
    model, _ = only(kl_ratio=4.0)
    with torch.inference_mode():
        first = loss_of(model, make_batch())
    again = loss_of(model, make_batch())
    again.backward()
    assert first.item() == again.item()
    assert all(each.grad.isfinite().all() for each in model.parameters())


def swapped(model, batch):
    """Two images, decoded with the labelled codes of others; and the posterior of all."""
    images = torch.cat([batch["data"], batch["target"]])
    own, rows = posterior(model, images), 2
    torch.manual_seed(0)
    z = own.mean + own.stddev * torch.randn(2 * B, L)
    mixed = z.clone()
    for k, dimensions in enumerate((slice(0, 2), slice(2, 3)), start=1):
        mixed[:, dimensions] = z[[(i + k * rows) % (2 * B) for i in range(2 * B)], dimensions]
    with torch.no_grad():
        return model.decoder(mixed[:rows]).reconstruction, own


def test_swap_consistency_is_the_divergence_of_the_rest_after_a_swap():
    model, without = only(swap_consistency=2.0)
    batch = make_batch()
    decoded, own = swapped(model, batch)
    again, rows = posterior(model, decoded), len(decoded)
    first = torch.distributions.Normal(own.mean[:rows, REST], own.stddev[:rows, REST])
    second = torch.distributions.Normal(again.mean[:, REST], again.stddev[:, REST])
    expected = torch.distributions.kl_divergence(first, second).sum(1).mean().item()
    term = loss_of(model, batch) - loss_of(without, batch)
    labelled = len(model.partitions.labelled)
    assert term.item() == pytest.approx(2 * labelled * BETA * expected, rel=1e-3)


@pytest.mark.parametrize("pairs", [2, 3, 4, 6, 9, 48])
def test_a_swap_takes_each_labelled_code_from_another_pair(pairs):
    names = [f"p{k}" for k in range(7)]
    partitions = Partitions(dict.fromkeys(names, 1), ["p6"])
    decoded = []

    def decode(z):
        decoded.append(z)
        return {"reconstruction": z}

    def encode(x):
        return {"embedding": x, "log_covariance": torch.zeros_like(x)}

    model = SimpleNamespace(decoder=Untracked(decode), encoder=Untracked(encode))
    pair = torch.arange(pairs).repeat(2)[:, None].expand(2 * pairs, 7).float()
    swap_divergence(model, partitions, pair, pair, torch.zeros_like(pair), pair.shape[1:])
    (mixed,) = decoded
    own = pair[: len(mixed), 6:]
    assert torch.equal(mixed[:, 6:], own)
    assert (mixed[:, :6] != own).all()


@pytest.mark.parametrize(("mean", "log_var"), [(0.0, 90.0), (0.0, 4.0), (0.0, -120.0), (1e4, 0.0)])
def test_a_swap_that_the_encoder_cannot_place_has_no_gradient(mean, log_var):
    """But the other image and dimension of the batch have theirs."""
    partitions, rows = Partitions({"pose": 1, "rest": 2}, ["rest"]), torch.zeros(4, 3)
    means, log_vars = torch.ones(2, 3), torch.ones(2, 3)
    means[0, 1], log_vars[0, 1] = mean, log_var
    means.requires_grad_(), log_vars.requires_grad_()
    encoded = {"embedding": means, "log_covariance": log_vars}
    model = SimpleNamespace(
        decoder=Untracked(lambda z: {"reconstruction": z}), encoder=Untracked(lambda x: encoded)
    )
    loss = swap_divergence(model, partitions, rows, rows, rows, rows.shape[1:])
    loss.backward()
    assert loss.isfinite()
    assert log_vars.grad[0, 1] == 0
    assert means.grad[0, 1].abs() < 1e-3
    assert (means.grad[:, 2] != 0).all()
    assert (log_vars.grad[1, 1:] != 0).all()


class Untracked(torch.nn.Module):
    """A function as a network without buffers."""

    def __init__(self, function):
        super().__init__()
        self.forward = function


def test_a_single_pair_has_no_swap():
    model, without = only(swap_consistency=2.0)
    batch = {key: value[:1] for key, value in make_batch().items()}
    assert loss_of(model, batch) == loss_of(without, batch)


@pytest.mark.parametrize("pairs", [2, 3, 5])
def test_a_batch_norm_is_updated_by_the_images_only(pairs):
    batch = {key: value[:pairs] for key, value in make_batch().items()}
    models = only(swap_consistency=2.0)
    for model in models:
        torch.manual_seed(0)
        layer = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.BatchNorm1d(16))
        model.encoder = Normalised(layer, model.encoder)
        model.decoder = Normalised(torch.nn.BatchNorm1d(L), model.decoder)
        model.train()
    losses = [loss_of(model, batch) for model in models]
    assert losses[0] > losses[1]
    for own, other in zip(models[0].buffers(), models[1].buffers(), strict=True):
        assert torch.equal(own, other)


class Normalised(torch.nn.Module):
    """A network after another layer."""

    def __init__(self, layer, network):
        super().__init__()
        self.layer, self.network = layer, network

    def forward(self, rows):
        return self.network(self.layer(rows))


def gradients_of_the_term(model, without, batch):
    grads = []
    for each in (model, without):
        _, found, _ = run(each, batch)
        grads.append(found)
    return {key: grads[0][key] - grads[1][key] for key in grads[0]}


def test_swap_consistency_trains_the_rest_of_the_encoder_only():
    """With all gates closed, the encoder has no other gradient: exact zeros elsewhere."""
    model, without = only(swap_consistency=2.0)
    batch = make_batch(torch.zeros(B, 3).bool())
    _, grads, _ = run(model, batch)
    _, others, _ = run(without, batch)
    for head in ("embedding", "log_var"):
        weight = grads[f"encoder.{head}.weight"]
        assert (weight[: REST.start] == 0).all()
        assert (weight[REST] != 0).any()
        assert (others[f"encoder.{head}.weight"] == 0).all()
    for key in grads:
        if key.startswith("decoder"):
            assert torch.equal(grads[key], others[key])


PARTS = Partitions({"pose": 1, "person": 1, "rest": 2}, ["rest"])


def test_hsic_compares_partners_with_strangers_of_each_kind():
    """Written out for two pairs of the pose, three of the person and a self pair."""
    gate = torch.tensor([[1, 0, 0]] * 2 + [[0, 1, 0]] * 3 + [[0, 0, 1]]).bool()
    mu = torch.randn(12, 4)
    x, t = mu[:6, 2:], mu[6:, 2:]

    def kernel(i, j):
        return torch.exp(-(x[i] - t[j]).square().sum() / 4)

    expected = 0.0
    for rows in ((0, 1), (2, 3, 4)):
        partners = [kernel(i, i) for i in rows]
        strangers = [kernel(i, j) for i in rows for j in rows if i != j]
        difference = sum(partners) / len(partners) - sum(strangers) / len(strangers)
        expected += 2 * difference * len(rows) / 6
    assert hsic(mu, gate, PARTS).item() == pytest.approx(expected.item(), rel=1e-5)


def test_hsic_is_zero_on_average_unless_the_rest_depends_on_the_label():
    torch.manual_seed(0)
    gate = torch.tensor([[True, False, False]]).expand(100, 3)
    label = torch.randint(3, (100, 100)).repeat(1, 2)  # of batches of 100 pairs
    free, bound = [], []
    for each in label:
        mu = torch.randn(200, 4)
        free.append(hsic(mu, gate, PARTS).item())
        mu[:, 2] += 2.0 * each
        bound.append(hsic(mu, gate, PARTS).item())
    spread = torch.tensor(free).std().item() / 10
    assert abs(sum(free) / 100) < 4 * spread
    assert sum(bound) / 100 > 40 * spread


def test_autocast_does_not_round_hsic():
    gate = torch.eye(3, dtype=torch.bool)[torch.arange(60) % 3]
    mu = torch.randn(120, 4)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = hsic(mu, gate, PARTS)
    assert rounded.item() == pytest.approx(hsic(mu, gate, PARTS).item(), rel=1e-6)


def test_hsic_of_small_batches_has_a_gradient_on_apples_gpus():
    class Operations(TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            seen.add(operation.name())
            return operation(*args, **(kwargs or {}))

    seen = set()
    mu = torch.randn(8, 4, requires_grad=True)
    with Operations():
        hsic(mu, torch.eye(3, dtype=torch.bool)[[0, 0, 1, 1]], PARTS).backward()
    assert "aten::_euclidean_dist" in seen
    assert not seen & {"aten::_cdist_forward", "aten::_cdist_backward"}


@pytest.mark.parametrize("shared", [0, 1])
def test_without_two_pairs_hsic_is_zero(shared):
    gate = torch.tensor([[True, False, False]] * shared + [[False, False, True]] * (4 - shared))
    mu = torch.randn(8, 4, requires_grad=True)
    dependence = hsic(mu, gate, PARTS)
    dependence.backward()
    assert dependence == 0
    assert (mu.grad == 0).all()


def test_hsic_trains_the_means_of_the_rest_only():
    model, without = only(rest_hsic=3.0)
    batch = make_batch(torch.tensor([[True, False, False]]).expand(B, 3))
    difference = gradients_of_the_term(model, without, batch)
    assert (difference["encoder.embedding.weight"][: REST.start] == 0).all()
    assert (difference["encoder.embedding.weight"][REST] != 0).any()
    assert (difference["encoder.log_var.weight"] == 0).all()
    assert all((of == 0).all() for key, of in difference.items() if key.startswith("decoder"))
    term = loss_of(model, batch) - loss_of(without, batch)
    both = torch.cat([batch["data"], batch["target"]])
    dependence = hsic(model.encoder(both).embedding, batch["gate"], model.partitions)
    assert term.item() == pytest.approx(BETA * 3.0 * dependence.item(), abs=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_agreement_and_the_weights_of_the_kl_train_open_partitions_only(name):
    options = {"rest": ["identity"], "swap_consistency": 0, "rest_hsic": 0}
    options |= {"agreement": 5.0, "labelled_kl": 3.0, "kl_ratio": 20.0}
    batch = make_batch(torch.tensor([[True, False, False]]).expand(B, 3))
    _, grads, _ = run(make(name, **options), batch)
    for head in ("embedding", "log_var"):
        weight = grads[f"encoder.{head}.weight"]
        assert (weight[2:] == 0).all()
        assert (weight[:2] != 0).any()


@pytest.mark.parametrize(
    ("name", "options", "weight"),
    [
        ("GatedVAE", {}, 1.0),
        ("GatedBetaVAE", {"beta": 4.0}, 4.0),
        ("GatedDisentangledBetaVAE", {"beta": 4.0}, 4.0),
        ("GatedBetaTCVAE", {"alpha": 1.0, "beta": 6.0, "gamma": 2.0}, 1.0),
        ("GatedINFOVAE_MMD", {"alpha": 0.25}, 0.75),
        ("GatedINFOVAE_MMD", {"alpha": 1.5}, 0.0),
        ("GatedDIPVAE", {}, 1.0),
    ],
)
def test_terms_are_weighted_like_the_parents_kl(name, options, weight):
    assert kl_weight(make(name, **options)) == weight


def test_the_kl_of_a_capacity_is_not_weighted_by_dimension():
    losses = [
        loss_of(make("GatedDisentangledBetaVAE", **options), make_batch())
        for options in ({"labelled_kl": 0.3}, {"labelled_kl": 1.0}, {"kl_ratio": 4.0})
    ]
    assert losses[0] == losses[1] == losses[2]


def test_terms_follow_a_beta_that_changes_during_training():
    model, without = only(agreement=1.0)
    batch, terms = make_batch(), []
    for beta in (1.0, 2.0):
        model.beta = without.beta = beta
        terms.append((loss_of(model, batch) - loss_of(without, batch)).item())
    assert terms[1] == pytest.approx(2 * terms[0], rel=1e-4)


@pytest.mark.parametrize("key", ["agreement", "labelled_kl", "swap_consistency", "rest_hsic"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_weights_are_finite_and_not_negative(key, value):
    with pytest.raises(ValueError, match=f"{key}={value}: expected a finite number of at least 0"):
        make("GatedBetaVAE", **{key: value})


@pytest.mark.parametrize("value", [0.9, -1.0, float("nan"), float("inf")])
def test_the_ratio_of_the_weights_of_the_kl_is_at_least_one(value):
    with pytest.raises(ValueError, match=f"kl_ratio={value}: expected a finite number of at lea"):
        make("GatedBetaVAE", kl_ratio=value)


def test_the_papers_scheme_has_no_terms():
    batch = make_batch()
    options = {"closed_partitions": "input", "rest": ["identity"]}
    first, second = (make("GatedBetaVAE", **options, **each) for each in ({}, FIRST_SCHEME))
    assert loss_of(first, batch) == loss_of(second, batch)


def test_the_papers_scheme_has_no_closed_rest():
    batch, losses = make_batch(), []
    for closed_rest in ("target", "zero"):
        options = {"closed_partitions": "input", "closed_rest": closed_rest}
        model = make("GatedBetaVAE", rest=["identity"], **options)
        model.rest_shown = True
        losses.append(loss_of(model, batch))
    assert losses[0] == losses[1]


def test_configs_of_version_0_1_still_load(tmp_path):
    config = GatedBetaVAEConfig(input_dim=(1, 4, 4), latent_dim=6, partitions={"a": 2, "b": 4})
    fields = config.to_dict()
    for name in (*FIRST_SCHEME, "closed_rest", "partition_order"):
        del fields[name]
    again = GatedBetaVAEConfig.from_dict(fields)
    assert isinstance(again, GatedConfigMixin)
    assert again == config


# Weights of pairs

PARTITIONS = Partitions({"pose": 1, "person": 1, "rest": 1}, ["rest"])


def weigh(means, *args):
    """The weights of posteriors of standard deviation 1; divergences are squared distances."""
    codes = means, torch.zeros_like(means)
    return weigh_pairs(*codes, divergence(*codes), *args)


def make_means(n):
    """(2 n, 3): codes of n images, and those of targets near them."""
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(n, 3, generator=generator)
    return torch.cat([means, means + 0.05 * torch.randn(n, 3, generator=generator)])


def test_pairs_that_differ_like_unrelated_images_have_a_small_weight():
    means = make_means(32)
    means[:5, 0] += 4.0
    means[40:43, 1] -= 4.0
    gate = torch.zeros(32, 3, dtype=torch.bool)
    gate[:16, 0] = gate[16:30, 1] = gate[30:, 2] = True
    weights = weigh(means, gate, PARTITIONS)
    assert (weights[:5] < 0.05).all()
    assert (weights[5:30] > 1).all()  # rows 40 to 42 differ in the person, which they do not share
    assert weights[:30].mean().item() == pytest.approx(1.0)
    assert (weights[30:] == 1).all()


def test_pairs_that_agree_more_or_less_keep_their_weight():
    """Divergences of 0 to a tenth of that of unrelated images."""
    means = make_means(64)
    gate = torch.tensor([[True, False, False]]).expand(64, 3)
    far = (means - means.roll(1, 0))[:, 0].square().mean()
    means[64:, 0] = means[:64, 0] + (torch.linspace(0, 0.1, 64) * far).sqrt()
    weights = weigh(means, gate, PARTITIONS)
    assert torch.allclose(weights, torch.ones(64), atol=0.03)


@pytest.mark.parametrize(
    ("warmed_up", "annealing", "distance", "weight"),
    [
        (0.0, 1.0, 9.0, 1.0),
        (0.5, 1.0, 0.25, 0.5**0.5),
        (1.0, 1.0, 0.25, 0.5),
        (1.0, 0.4, 0.1, 0.5),
    ],
)
def test_the_weights_of_robust_pairs_follow_the_schedule(warmed_up, annealing, distance, weight):
    """Seven pairs that agree, and one that differs by a multiple of unrelated images."""
    gate = torch.tensor([[True, False, False]]).expand(8, 3)
    means, divergences = torch.zeros(16, 3), torch.zeros(16, 3)
    means[::2, 0] = 1.0  # the divergence of neighbours, both directions, is 1
    divergences[3, 0] = distance
    divergences[:, 1] = 100.0  # in a partition that the pairs do not share
    codes = means, torch.zeros_like(means)
    weights = weigh_pairs(*codes, divergences, gate, PARTITIONS, warmed_up, annealing)
    assert (weights[3] / weights[0]).item() == pytest.approx(weight)


def test_robust_pairs_have_the_weights_of_the_present_phase(monkeypatch):
    given = []
    monkeypatch.setattr(
        "pythae_gated.gating.terms.weigh_pairs",
        lambda mu, log_var, d, gate, *rest: given.append(rest[1:]) or torch.ones(len(gate)),
    )
    model = make("GatedBetaVAE")
    phases = [(0.25, 1.0), (1.0, 0.5)]
    for model.regularizer_scale, model.annealing in phases:
        model(make_batch())
    assert given == phases


def test_augmented_self_pairs_without_a_rest_are_not_weighed():
    partitions = Partitions({"pose": 1, "person": 1, "sex": 1})
    gate = torch.zeros(32, 3, dtype=torch.bool)
    gate[:10, 0] = gate[10:20, 1] = True
    gate[20:] = True  # self pairs
    means = make_means(32)
    means[52:] += 10.0
    weights = weigh(means, gate, partitions)
    assert (weights[20:] == 1).all()
    assert torch.allclose(weights[:20], torch.ones(20), atol=0.01)


def test_equal_pairs_have_equal_weights_and_self_pairs_alone_have_weight_1():
    gate = torch.tensor([[True, False, False]]).expand(8, 3)
    apart = torch.tensor([0.0, 1.0]).repeat_interleave(8)[:, None].expand(16, 3)
    assert torch.allclose(weigh(apart, gate, PARTITIONS), torch.ones(8))
    assert torch.equal(weigh(torch.zeros(16, 3), gate, PARTITIONS), torch.ones(8))
    assert torch.equal(weigh(apart, gate.flip(1), PARTITIONS), torch.ones(8))


def test_a_model_without_labelled_partitions_trains():
    model = make("GatedBetaVAE", rest=["pose", "expression", "identity"])
    _, grads, _ = run(model, make_batch())
    assert grads["encoder.embedding.weight"].abs().sum() > 0


@pytest.mark.parametrize("reconstruction_loss", ["mse", "bce"])
def test_robust_pairs_weigh_gradients_and_not_the_loss(reconstruction_loss, monkeypatch):
    """As a loss written out in which each pair has its weight."""
    weights = torch.tensor([0.5, 2.0, 1.0, 0.25, 1.25])
    given = {"reconstruction_loss": reconstruction_loss, "rest": ["identity"], **FIRST_SCHEME}
    plain = make("GatedBetaVAE", **given)
    robust = make("GatedBetaVAE", **{**given, "robust_pairs": True})
    monkeypatch.setattr("pythae_gated.gating.terms.weigh_pairs", lambda *_: weights)
    batch = make_batch()
    output, grads, _ = run(robust, batch)
    assert torch.equal(output.loss, run(plain, batch)[0].loss)

    def weighted(model, recon_x, x, mu, log_var, z):
        per_row = [
            BetaVAE.loss_function(model, *(each[[i]] for each in (recon_x, x, mu, log_var, z)))[0]
            for i in range(len(x))
        ]
        loss = (torch.stack(per_row) * weights).mean()
        return loss, loss, loss

    monkeypatch.setattr(type(plain), "loss_function", weighted)
    _, expected, _ = run(plain, batch)
    for key in grads:
        assert torch.allclose(grads[key], expected[key], rtol=1e-4, atol=1e-6), key


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    ("closed_rest", "rest_shown", "is_shown"),
    [("zero", True, False), ("target", True, True), ("target", False, False)],
)
def test_what_the_decoder_gets_in_a_closed_rest(closed_rest, training, rest_shown, is_shown):
    model = make("GatedBetaVAE", rest=["identity"], closed_rest=closed_rest).train(training)
    model.rest_shown = rest_shown
    batch, received = make_batch(), []
    model.decoder.register_forward_hook(lambda network, args, output: received.append(args[0]))
    torch.manual_seed(0)
    z = model(batch).z
    of_data = received[0][:B, 3:]  # the rows that are compared with the data
    is_open = batch["gate"][:, 2]
    expected = z[:, 3:] if is_shown else torch.zeros(B, 3)
    assert torch.equal(of_data[~is_open], expected[~is_open])
    assert (of_data[is_open] != z[is_open, 3:]).all()  # that of the target


@pytest.mark.parametrize("name", MODELS)
def test_robust_pairs_leave_closed_dimensions_at_zero(name):
    batch = make_batch(torch.tensor([[True, False, False]]).expand(B, 3))
    options = {"rest": ["identity"], "swap_consistency": 0, "rest_hsic": 0}
    _, grads, _ = run(make(name, **options), batch)
    assert (grads["encoder.embedding.weight"][2:] == 0).all()
    assert (grads["encoder.embedding.weight"][:2] != 0).any()


# Scaled gradients


def test_scale_gradient_keeps_the_value():
    value = torch.randn(3, 2, requires_grad=True)
    scaled = scale_gradient(value, torch.tensor([0.0, 0.5, 2.0]))
    assert torch.equal(scaled, value)
    (scaled.sum() + value[2, 0]).backward()  # other uses of the value keep their gradient
    assert value.grad.tolist() == [[0.0, 0.0], [0.5, 0.5], [3.0, 2.0]]


@pytest.mark.parametrize("scale", [0.5, torch.tensor([0.5, 0.5, 0.5])])
def test_scale_gradient_keeps_the_dtype_of_autocast(scale):
    value = torch.randn(3, 2, dtype=torch.bfloat16, requires_grad=True)
    scaled = scale_gradient(value, scale)
    assert scaled.dtype == value.dtype
    scaled.sum().backward()
    assert value.grad.tolist() == [[0.5, 0.5]] * 3
    assert not scale_gradient(value.detach(), scale).requires_grad


@pytest.mark.parametrize("closed", ["target", "input"])
@pytest.mark.parametrize("has_pairs", [True, False])
def test_the_regularizer_scale_acts_like_a_smaller_beta(closed, has_pairs):
    options = {"rest": ["identity"], "closed_partitions": closed, "robust_pairs": False}
    model = make("GatedBetaVAE", **options)
    weak = make("GatedBetaVAE", **options, beta=BETA / 4)
    model.regularizer_scale = 0.25
    batch = make_batch() if has_pairs else {"data": make_batch()["data"]}
    output, grads, _ = run(model, batch)
    weak_output, expected, _ = run(weak, batch)
    assert output.loss > weak_output.loss  # it is reported at the full beta
    for key in grads:
        assert torch.allclose(grads[key], expected[key], rtol=1e-4, atol=1e-6), key


def test_under_ddp_each_parameter_has_a_gradient_while_the_decoder_is_trained_alone():
    model = make("GatedBetaVAE", rest=["identity"])
    model.head = nn.Linear(2, 2)  # a module of the user's, which the reconstruction does not need
    model.decoder_only = True
    output = model(make_batch(), uses_ddp=True)
    assert output.loss == output.recon_loss
    output.loss.backward()
    assert all(each.grad is not None for each in model.parameters())
    assert not model.head.weight.grad.any()


def test_a_decoder_that_is_trained_alone_gets_plain_images():
    model = make("GatedBetaVAE", rest=["identity"])
    model.decoder_only = True
    batch = make_batch()
    loss = loss_of(model, batch)
    torch.manual_seed(0)
    both = torch.cat([batch["data"], batch["target"]])
    assert loss == model({"data": both}).recon_loss
    output = model(batch)
    assert len(output.z) == len(output.recon_x) == B
    model.eval()
    torch.manual_seed(0)
    output = model(batch)
    torch.manual_seed(0)
    plain = model({"data": both})  # as in the other phases, whose losses are compared with this
    assert output.loss == plain.recon_loss
    assert torch.equal(output.recon_x, plain.recon_x[:B])
