import pytest
import torch
from pydantic import ValidationError
from pydantic.dataclasses import dataclass
from pythae.models import (
    AE,
    INFOVAE_MMD,
    IWAE,
    MSSSIM_VAE,
    SVAE,
    VAE,
    VAE_IAF,
    VAMP,
    WAE_MMD,
    BetaTCVAE,
    BetaVAE,
    BetaVAEConfig,
    DisentangledBetaVAE,
    FactorVAE,
    VAE_LinNF,
)

from pythae_gated import (
    GatedBetaVAE,
    GatedBetaVAEConfig,
    GatedConfigMixin,
    GatedMixin,
    GateError,
    PartitionError,
    gate_gradient,
)

SIZES = {"pose": 2, "identity": 3}


def make_config(**kwargs):
    return GatedBetaVAEConfig(
        **{"input_dim": (1, 4, 4), "latent_dim": 5, "partitions": SIZES, **kwargs}
    )


class TestGateGradient:
    def test_is_the_identity_going_forward(self):
        z = torch.randn(4, 5)
        assert torch.equal(gate_gradient(z, torch.rand(4, 5) > 0.5), z)

    def test_gradients_pass_where_open_and_are_zero_where_closed(self):
        z = torch.randn(4, 5, requires_grad=True)
        mask = torch.rand(4, 5) > 0.5
        upstream = torch.randn(4, 5)
        gate_gradient(z, mask).backward(upstream)
        assert torch.equal(z.grad[mask], upstream[mask])
        assert (z.grad[~mask] == 0).all()

    def test_a_closed_entry_stays_zero_under_an_infinite_gradient(self):
        z = torch.zeros(1, 2, requires_grad=True)
        gate_gradient(z, torch.tensor([True, False])).backward(torch.full((1, 2), torch.inf))
        assert z.grad.tolist() == [[torch.inf, 0.0]]

    def test_the_mask_broadcasts(self):
        z = torch.randn(4, 5, requires_grad=True)
        gate_gradient(z, torch.tensor([True, False, False, True, False])).sum().backward()
        assert z.grad.tolist() == [[1.0, 0.0, 0.0, 1.0, 0.0]] * 4

    @pytest.mark.parametrize(
        ("mask", "match"),
        [
            (torch.ones(4, 5), r"dtype torch.float32: expected torch.bool"),
            (torch.ones(4, 4, dtype=torch.bool), r"\(4, 4\) does not broadcast .* \(4, 5\)"),
            (torch.ones(2, 4, 5, dtype=torch.bool), r"\(2, 4, 5\) does not broadcast"),
        ],
    )
    def test_refuses_other_masks(self, mask, match):
        with pytest.raises(GateError, match=match):
            gate_gradient(torch.zeros(4, 5), mask)


class TestConfig:
    def test_parents_fields_come_first_and_stay(self):
        config = GatedBetaVAEConfig((1, 4, 4), 5, beta=3.0, partitions=SIZES)
        assert isinstance(config, BetaVAEConfig)
        assert (config.latent_dim, config.beta, config.name) == (5, 3.0, "GatedBetaVAEConfig")
        assert config.closed_partitions == "target"

    @pytest.mark.parametrize(
        ("kwargs", "match"),
        [
            ({"partitions": {"pose": 2, "identity": 4}}, "sum to 6, and latent_dim is 5"),
            ({"partitions": {"pose": "2", "identity": 3}}, "'pose' is an int .* got '2'"),
            ({"partitions": {"pose": True, "identity": 4}}, "got True"),
            ({"partitions": {"pose": 0, "identity": 5}}, "got 0"),
            ({"partitions": {"self": 2, "identity": 3}}, "no partition may be called 'self'"),
            ({"partitions": {}}, "mapping from name to size"),
            ({"rest": ["id"]}, "rest names 'id'"),
            ({"rest": "identity"}, "valid list"),
            ({"closed_partitions": "zero"}, "'target' or 'input'"),
        ],
    )
    def test_refuses_what_does_not_fit(self, kwargs, match):
        with pytest.raises(ValidationError, match=match):
            make_config(**kwargs)


class TestModel:
    def test_without_partitions_there_is_one(self):
        model = GatedBetaVAE(GatedBetaVAEConfig(input_dim=(1, 4, 4), latent_dim=5))
        assert model.partitions.sizes == {"latent": 5}

    def test_the_parents_config_is_refused_with_the_one_to_take(self):
        with pytest.raises(PartitionError, match=r"GatedBetaVAE needs .* make it a GatedBetaVAEC"):
            GatedBetaVAE(BetaVAEConfig(input_dim=(1, 4, 4)))

    def test_a_config_changed_since_it_was_made_is_checked_again(self):
        config = make_config()
        config.latent_dim = 7
        with pytest.raises(PartitionError, match="sum to 5, and latent_dim is 7"):
            GatedBetaVAE(config)

    @pytest.mark.parametrize(
        ("pair", "match"),
        [
            ({"gate": torch.ones(3, 3, dtype=torch.bool)}, r"\(3, 3\): expected \(3, 2\)"),
            ({"gate": torch.ones(2, 2, dtype=torch.bool)}, r"\(2, 2\): expected \(3, 2\)"),
            ({"gate": torch.ones(3, 2)}, "dtype torch.float32: expected torch.bool"),
            ({"target": torch.rand(3, 1, 4, 3)}, r"target of shape \(3, 1, 4, 3\) for data of"),
            ({"target": torch.rand(2, 1, 4, 4)}, r"target of shape \(2, 1, 4, 4\)"),
        ],
    )
    @pytest.mark.parametrize("closed", ["target", "input"])
    def test_refuses_gates_and_targets_that_do_not_fit(self, pair, match, closed):
        model = GatedBetaVAE(make_config(closed_partitions=closed))
        with pytest.raises(GateError, match=match):
            model({"data": torch.rand(3, 1, 4, 4), **pair})

    def test_an_encoder_of_another_width_is_named(self):
        model = GatedBetaVAE(make_config())
        model.encoder.embedding = torch.nn.Linear(512, 4)
        x = torch.rand(3, 1, 4, 4)
        with pytest.raises(GateError, match=r"embedding has shape \(6, 4\): expected \(6, 5\)"):
            model({"data": x, "target": x})

    def test_nothing_stays_on_the_model_after_an_error(self):
        model = GatedBetaVAE(make_config())
        model.encoder.embedding = torch.nn.Linear(512, 4)
        before = set(vars(model))
        with pytest.raises(GateError, match="embedding"):
            model({"data": torch.rand(3, 1, 4, 4), "gate": torch.ones(3, 2, dtype=torch.bool)})
        assert set(vars(model)) == before
        assert isinstance(model.encoder, torch.nn.Module)

    def test_a_users_own_loss_sees_rows_of_one_direction(self):
        seen = []

        class Mine(GatedBetaVAE):
            def loss_function(self, recon_x, x, mu, log_var, z):
                seen.append([len(t) for t in (recon_x, x, mu, log_var, z)] + [x])
                return super().loss_function(recon_x, x, mu, log_var, z)

        x, t = torch.rand(3, 1, 4, 4), torch.rand(3, 1, 4, 4)
        Mine(make_config())({"data": x, "target": t})
        assert [rows[:5] for rows in seen] == [[3] * 5] * 2
        assert torch.equal(seen[0][5], t)
        assert torch.equal(seen[1][5], x)

    @pytest.mark.parametrize(
        "lie",
        [
            lambda x, t: torch.cat([x, t]).chunk(2),
            lambda x, t: torch.cat([t, x]).chunk(2)[::-1],
            lambda x, t: torch.cat([x, x[:1], t]).split([3, 1, 3])[::2],
            lambda x, t: [v.mT.contiguous().mT for v in (x, t)],
            lambda x, t: torch.stack([x, t], 1).unbind(1),
            lambda x, t: torch.cat([x, t]).requires_grad_().chunk(2),
        ],
        ids=["joined", "exchanged", "apart", "transposed", "interleaved", "with gradient"],
    )
    def test_wherever_input_and_target_lie_in_memory(self, lie):
        model = GatedBetaVAE(make_config())
        x, t = torch.rand(3, 1, 4, 4), torch.rand(3, 1, 4, 4)
        gate = torch.tensor([[True, False]] * 3)
        losses = []
        for data, target in ((x, t), lie(x.clone(), t.clone())):
            torch.manual_seed(0)
            losses.append(model({"data": data, "target": target, "gate": gate}).loss)
        assert torch.equal(*losses)

    def test_input_and_target_with_gradients_of_their_own_get_them(self):
        x, t = torch.rand(6, 1, 4, 4).chunk(2)
        x.requires_grad_()
        t.requires_grad_()
        GatedBetaVAE(make_config())({"data": x, "target": t}).loss.backward()
        assert x.grad.abs().sum() > 0
        assert t.grad.abs().sum() > 0

    def test_a_loss_that_was_set_on_the_instance_stays(self):
        model = GatedBetaVAE(make_config())
        mine = model.loss_function = lambda *args: type(model).loss_function(model, *args)
        x = torch.rand(3, 1, 4, 4)
        model({"data": x, "target": x})
        assert model.loss_function is mine


class TestHelpers:
    @pytest.fixture
    def model(self):
        torch.manual_seed(0)
        return GatedBetaVAE(make_config())

    def test_embed_partitions_gives_means_by_name(self, model):
        x = torch.rand(3, 1, 4, 4)
        parts = model.embed_partitions(x)
        assert {name: tuple(part.shape) for name, part in parts.items()} == {
            "pose": (3, 2),
            "identity": (3, 3),
        }
        assert torch.equal(torch.cat(list(parts.values()), 1), model.encoder(x).embedding)

    def test_swap_takes_one_partition_from_the_other(self, model):
        a, b = torch.rand(3, 1, 4, 4), torch.rand(3, 1, 4, 4)
        mu_a, mu_b = model.encoder(a).embedding, model.encoder(b).embedding
        expected = model.decoder(torch.cat([mu_b[:, :2], mu_a[:, 2:]], 1)).reconstruction
        assert torch.equal(model.swap(a, b, "pose"), expected)
        both = model.swap(a, b, ["pose", "identity"])
        assert torch.equal(both, model.decoder(mu_b).reconstruction)
        one = model.swap(a, b[:1], "pose")
        assert torch.allclose(one[0], expected[0], atol=1e-6)

    def test_neither_leaves_a_trace(self, model):
        model.train()
        model.encoder.eval()
        x = torch.rand(2, 1, 4, 4)
        assert not model.swap(x, x, "pose").requires_grad
        assert not model.embed_partitions(x)["pose"].requires_grad
        assert model.training
        assert not model.encoder.training

    def test_uint8_images_are_scaled(self, model):
        x = torch.randint(0, 256, (2, 1, 4, 4), dtype=torch.uint8)
        scaled = model.embed_partitions(x.float() / 255)
        assert torch.equal(model.embed_partitions(x.numpy())["pose"], scaled["pose"])

    def test_bad_swaps_are_refused(self, model):
        a = torch.rand(3, 1, 4, 4)
        with pytest.raises(PartitionError, match="no partition is called 'hair'"):
            model.swap(a, a, "hair")
        with pytest.raises(
            ValueError, match="3 images take the codes of as many or of one; got 2"
        ):
            model.swap(a, a[:2], "pose")


class TestParents:
    @pytest.mark.parametrize(
        "parent", [VAE, BetaVAE, BetaTCVAE, DisentangledBetaVAE, INFOVAE_MMD, MSSSIM_VAE]
    )
    def test_supported_parents_and_their_subclasses_are_gated(self, parent):
        mine = type("Mine", (parent,), {})
        assert issubclass(type("GatedMine", (GatedMixin, mine), {}), parent)

    @pytest.mark.parametrize(
        ("parent", "reason"),
        [
            (FactorVAE, "discriminator"),
            (VAMP, "pseudo-inputs"),
            (VAE_IAF, "flow"),
            (VAE_LinNF, "flow"),
            (SVAE, "hypersphere"),
            (IWAE, "several samples"),
            (AE, "Gaussian posterior"),
            (WAE_MMD, "Gaussian posterior"),
        ],
    )
    def test_others_are_refused_with_the_reason(self, parent, reason):
        mine = type("Mine", (parent,), {})
        with pytest.raises(TypeError, match=rf"{parent.__name__} cannot be gated, .*{reason}"):
            type("GatedMine", (GatedMixin, mine), {})

    def test_the_mixin_must_come_first(self):
        with pytest.raises(TypeError, match="name GatedMixin before BetaVAE"):
            type("GatedMine", (BetaVAE, GatedMixin), {})

    def test_another_vae_is_gated_by_naming_it(self):
        @dataclass
        class GatedTCConfig(GatedConfigMixin, BetaTCVAE.__init__.__annotations__["model_config"]):
            pass

        class GatedTC(GatedMixin, BetaTCVAE):
            pass

        config = GatedTCConfig(input_dim=(1, 4, 4), latent_dim=5, partitions=SIZES, beta=6.0)
        model = GatedTC(config)
        x, t = torch.rand(3, 1, 4, 4), torch.rand(3, 1, 4, 4)
        gate = torch.tensor([[True, False]]).expand(3, 2)
        model({"data": x, "target": t, "gate": gate}, dataset_size=100).loss.backward()
        assert (model.encoder.embedding.weight.grad[2:] == 0).all()
        assert (model.encoder.embedding.weight.grad[:2] != 0).any()
