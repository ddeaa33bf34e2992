import threading

import pytest
import torch
from pydantic import ValidationError
from pydantic.dataclasses import dataclass
from pythae.data.datasets import DatasetOutput
from pythae.models import (
    AE,
    INFOVAE_MMD,
    AEConfig,
    BetaVAE,
    BetaVAEConfig,
    INFOVAE_MMD_Config,
)
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.models.nn.default_architectures import Encoder_AE_MLP

from pythae_gated import (
    GatedBetaVAE,
    GatedBetaVAEConfig,
    GatedINFOVAE_MMD,
    GatedMixin,
    GateError,
    PartitionError,
    Partitions,
)

SIZES = {"pose": 2, "identity": 3}


def make_config(**kwargs):
    return GatedBetaVAEConfig(
        **{"input_dim": (1, 4, 4), "latent_dim": 5, "partitions": SIZES, **kwargs}
    )


def test_without_partitions_there_is_one():
    model = GatedBetaVAE(GatedBetaVAEConfig(input_dim=(1, 4, 4), latent_dim=5))
    assert model.partitions.sizes == {"latent": 5}


def test_the_partitions_are_shown_in_repr():
    shown, _ = repr(GatedBetaVAE(make_config(rest=["identity"]))).split("(decoder)")
    assert "Partitions({'pose': 2, 'identity': 3}, rest=['identity'])" in shown


def test_the_parents_config_is_refused_and_the_gated_one_named():
    with pytest.raises(PartitionError, match=r"needs a gated config.* use GatedBetaVAEC"):
        GatedBetaVAE(BetaVAEConfig(input_dim=(1, 4, 4)))


def test_a_config_changed_since_it_was_made_is_checked_again():
    config = make_config()
    config.latent_dim = 7
    with pytest.raises(PartitionError, match="sum to 5, and latent_dim is 7"):
        GatedBetaVAE(config)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("closed_partitions", "inputs", "'target' or 'input'"),
        ("rest_hsic", -5.0, "at least 0"),
        ("kl_ratio", 0.1, "at least 1"),
        ("reconstruction_loss", "mae", "'bce' or 'mse'"),
    ],
)
def test_all_fields_of_a_config_are_checked_again(field, value, message):
    config = make_config()
    setattr(config, field, value)
    with pytest.raises(ValidationError, match=message):
        GatedBetaVAE(config)


def test_data_without_values_is_not_looked_at():
    with torch.device("meta"):
        model = GatedBetaVAE(make_config())
        assert model({"data": torch.rand(3, 1, 4, 4)}).loss.is_meta


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
def test_refuses_gates_and_targets_that_do_not_fit(pair, match, closed):
    model = GatedBetaVAE(make_config(closed_partitions=closed))
    with pytest.raises(GateError, match=match):
        model({"data": torch.rand(3, 1, 4, 4), **pair})


def test_the_encoder_of_an_autoencoder_is_refused():
    model = GatedBetaVAE(make_config(), encoder=Encoder_AE_MLP(make_config()))
    x = torch.rand(3, 1, 4, 4)
    with pytest.raises(GateError, match="returns no log_covariance: expected that of a VAE"):
        model({"data": x, "target": x})


def test_an_encoder_of_another_width_is_named():
    model = GatedBetaVAE(make_config())
    model.encoder.embedding = torch.nn.Linear(512, 4)
    x = torch.rand(3, 1, 4, 4)
    with pytest.raises(GateError, match=r"embedding has shape \(6, 4\): expected \(6, 5\)"):
        model({"data": x, "target": x})


def test_nothing_stays_on_the_model_after_an_error():
    model = GatedBetaVAE(make_config())
    model.encoder.embedding = torch.nn.Linear(512, 4)
    before = set(vars(model))
    with pytest.raises(GateError, match="embedding"):
        model({"data": torch.rand(3, 1, 4, 4), "gate": torch.ones(3, 2, dtype=torch.bool)})
    assert set(vars(model)) == before
    assert isinstance(model.encoder, torch.nn.Module)


def test_a_custom_loss_gets_the_rows_of_one_direction():
    seen = []

    class Own(GatedBetaVAE):
        kl_weight = 1.0

        def loss_function(self, recon_x, x, mu, log_var, z):
            seen.append([len(t) for t in (recon_x, x, mu, log_var, z)] + [x])
            return super().loss_function(recon_x, x, mu, log_var, z)

    x, t = torch.rand(3, 1, 4, 4), torch.rand(3, 1, 4, 4)
    Own(make_config())({"data": x, "target": t})
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
def test_wherever_input_and_target_lie_in_memory(lie):
    model = GatedBetaVAE(make_config())
    x, t = torch.rand(3, 1, 4, 4), torch.rand(3, 1, 4, 4)
    gate = torch.tensor([[True, False]] * 3)
    losses = []
    for data, target in ((x, t), lie(x.clone(), t.clone())):
        torch.manual_seed(0)
        losses.append(model({"data": data, "target": target, "gate": gate}).loss)
    assert torch.equal(*losses)


@pytest.mark.parametrize("network", ["encoder", "decoder"])
def test_conditional_networks_are_refused(network):
    class Conditional(BetaVAE):
        def forward(self, inputs, **kwargs):
            x, y = inputs["data"], {"y": 0}
            encoded = self.encoder(x, **(y if network == "encoder" else {}))
            mu, log_var = encoded.embedding, encoded.log_covariance
            z, _ = self._sample_gauss(mu, torch.exp(log_var / 2))
            decoded = self.decoder(z, **(y if network == "decoder" else {}))["reconstruction"]
            loss, *_ = self.loss_function(decoded, x, mu, log_var, z)
            return ModelOutput(loss=loss, recon_x=decoded, z=z)

    class GatedConditional(GatedMixin, Conditional):
        pass

    def make(**options):
        model = GatedConditional(make_config(rest=["identity"], **options))
        getattr(model, network).register_forward_pre_hook(
            lambda module, args, kwargs: (args, {}), with_kwargs=True
        )
        return model

    x = torch.rand(3, 1, 4, 4)
    pair = {"data": x, "target": x}
    with pytest.raises(GateError, match=rf'its {network} another argument.*="input"'):
        make()(pair)
    make(closed_partitions="input")(pair).loss.backward()
    if network == "encoder":  # only swap consistency encodes again
        make(swap_consistency=0)(pair).loss.backward()


def test_input_and_target_with_gradients_of_their_own_get_them():
    x, t = torch.rand(6, 1, 4, 4).chunk(2)
    x.requires_grad_()
    t.requires_grad_()
    GatedBetaVAE(make_config())({"data": x, "target": t}).loss.backward()
    assert x.grad.abs().sum() > 0
    assert t.grad.abs().sum() > 0


def test_a_loss_that_was_set_on_the_instance_stays():
    model = GatedBetaVAE(make_config())
    mine = model.loss_function = lambda *args: type(model).loss_function(model, *args)
    x = torch.rand(3, 1, 4, 4)
    model({"data": x, "target": x})
    assert model.loss_function is mine


@pytest.mark.parametrize("closed", ["target", "input"])
def test_a_loss_may_encode_and_decode_again(closed):
    class Consistent(GatedBetaVAE):
        kl_weight = 1.0

        def loss_function(self, recon_x, x, mu, log_var, z):
            loss, recon_loss, kld = super().loss_function(recon_x, x, mu, log_var, z)
            again = self.encoder(self.decoder(z)["reconstruction"])["embedding"]
            assert again.shape == mu.shape
            return loss + (again - mu).square().mean(), recon_loss, kld

    model = Consistent(make_config(closed_partitions=closed))
    x, t = torch.rand(3, 1, 4, 4), torch.rand(3, 1, 4, 4)
    gate = torch.tensor([[True, False]] * 3)
    torch.manual_seed(0)
    loss = model({"data": x, "target": t, "gate": gate}).loss
    loss.backward()
    assert (model.encoder.embedding.weight.grad != 0).any(1).all()  # its encoder is not gated
    torch.manual_seed(0)
    plain = GatedBetaVAE(make_config(closed_partitions=closed))
    plain.load_state_dict(model.state_dict())
    torch.manual_seed(0)
    assert loss > plain({"data": x, "target": t, "gate": gate}).loss


class ByAttribute(BetaVAE):
    """Reads batches by attribute, and computes a loss without `loss_function` if asked to."""

    computes_loss = False

    def forward(self, inputs, **kwargs):
        x = inputs.data
        mu, log_var = self.encoder(x).to_tuple()
        z = mu + (log_var / 2).exp() * torch.randn_like(mu)
        recon_x = self.decoder(z).reconstruction
        if self.computes_loss:
            loss = recon_loss = (recon_x - x).square().flatten(1).sum(1).mean()
        else:
            loss, recon_loss, _ = self.loss_function(recon_x, x, mu, log_var, z)
        return ModelOutput(loss=loss, recon_loss=recon_loss, recon_x=recon_x, z=z)


class GatedByAttribute(GatedMixin, ByAttribute):
    pass


@pytest.mark.parametrize("alone", [True, False])
@pytest.mark.parametrize("closed", ["target", "input"])
def test_a_parent_that_reads_batches_by_attribute(closed, alone):
    model, gated = GatedBetaVAE(make_config(closed_partitions=closed)), GatedByAttribute
    own = gated(model.model_config, model.encoder, model.decoder)
    pair = DatasetOutput(data=torch.rand(3, 1, 4, 4), target=torch.rand(3, 1, 4, 4))
    model.decoder_only = own.decoder_only = alone
    losses = []
    for each in (model, own):
        torch.manual_seed(0)
        losses.append(each(pair).loss)
    assert losses[0] == losses[1]


@pytest.mark.parametrize("closed", ["target", "input"])
def test_a_forward_that_computes_the_loss_itself_is_refused(closed):
    """Its loss would not compare with the target."""
    model = GatedByAttribute(make_config(closed_partitions=closed))
    model.computes_loss = True
    pair = DatasetOutput(data=torch.rand(3, 1, 4, 4), target=torch.rand(3, 1, 4, 4))
    with pytest.raises(
        GateError, match=r"GatedByAttribute cannot be gated: .*self\.loss_function"
    ):
        model(pair)


class Counting(BetaVAE):
    """The forward sets an attribute that the loss reads, and returns one that the loss sets.

    It also returns an output that is not per image.
    """

    steps, kl_weight = 0, 1.0

    def forward(self, inputs, **kwargs):
        self.steps += 1
        output = super().forward(inputs, **kwargs)
        output["weights"], output["seen"] = torch.arange(6.0), self.seen
        return output

    def loss_function(self, *args):
        self.seen = self.steps
        return super().loss_function(*args)


class GatedCounting(GatedMixin, Counting):
    pass


@pytest.mark.parametrize("closed", ["target", "input"])
def test_attributes_that_the_parents_forward_sets_stay(closed):
    model = GatedCounting(make_config(closed_partitions=closed))
    x = torch.rand(3, 1, 4, 4)
    model({"data": x, "target": x})
    model({"data": x})
    assert model.steps == 2


@pytest.mark.parametrize("closed", ["target", "input"])
def test_attributes_pass_between_the_parents_forward_and_its_loss(closed):
    model = GatedCounting(make_config(closed_partitions=closed))
    x = torch.rand(3, 1, 4, 4)
    for step in range(1, 4):
        assert model({"data": x, "target": x}).seen == step
    model.regularizer_scale = 0.5
    assert model({"data": x}).seen == 4


class Twice(BetaVAE):
    """Encodes once in another way than through `self.encoder`, or once more."""

    calls = 2

    def forward(self, inputs, **kwargs):
        encode = self.encoder if self.calls else self._modules["encoder"]
        for _ in range(max(self.calls, 1)):
            mu, log_var = encode(inputs["data"]).to_tuple()
        recon_x = self.decoder(mu).reconstruction
        loss, _, _ = self.loss_function(recon_x, inputs["data"], mu, log_var, mu)
        return ModelOutput(loss=loss, recon_x=recon_x, z=mu)


class GatedTwice(GatedMixin, Twice):
    pass


@pytest.mark.parametrize("calls", [0, 2])
def test_a_forward_that_does_not_call_the_encoder_once_is_refused(calls):
    """Without the gated encoder, pairs would train all partitions."""
    model = GatedTwice(make_config(closed_partitions="input"))
    model.calls = calls
    x = torch.rand(3, 1, 4, 4)
    model({"data": x})
    with pytest.raises(GateError, match=rf"GatedTwice cannot be gated: .* {calls} times"):
        model({"data": x, "target": x})


def test_only_outputs_per_image_are_cut_to_the_inputs():
    model = GatedCounting(make_config())
    x, t = torch.rand(3, 1, 4, 4), torch.rand(3, 1, 4, 4)  # 6 rows, as many as weights
    output = model({"data": x, "target": t})
    assert torch.equal(output.weights, torch.arange(6.0))
    assert output.z.shape == (3, 5)
    assert output.recon_x.shape == x.shape


@pytest.mark.parametrize("closed", ["target", "input"])
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_threads_share_a_model(closed, training):
    model = GatedBetaVAE(make_config(closed_partitions=closed)).train(training)
    for head in (model.encoder.log_var,):  # no noise: the loss is a function of the batch
        torch.nn.init.zeros_(head.weight)
        torch.nn.init.constant_(head.bias, -60.0)
    batches = []
    for i in range(8):
        x, t = torch.rand(3, 1, 4, 4), torch.rand(3, 1, 4, 4)
        gate = torch.tensor([[True, False], [False, True], [i % 2 == 0, True]])
        batches.append({"data": x, "target": t, "gate": gate} if i % 4 else {"data": x})
    expected = [model(batch).loss.item() for batch in batches]
    wrong, start = [], threading.Barrier(4)

    def run(offset):
        start.wait()
        for step in range(125):
            at = (step + offset) % len(batches)
            if model(batches[at]).loss.item() != pytest.approx(expected[at], rel=1e-6):
                wrong.append(at)

    threads = [threading.Thread(target=run, args=(2 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_partitions_follow_the_config_and_cannot_be_assigned():
    model = GatedBetaVAE(make_config())
    with pytest.raises(AttributeError, match=r"use GatedBetaVAE\.from_parent\(model, partitions="):
        model.partitions = Partitions({"pose": 1, "identity": 4})
    assert model.partitions.sizes == SIZES
    model.model_config.partitions = {"pose": 1, "identity": 4}
    assert model.partitions.sizes == {"pose": 1, "identity": 4}


class TestFromParent:
    def test_the_partitions_of_a_gated_model_are_changed(self, tmp_path):
        model = GatedBetaVAE(make_config(rest=["identity"]))
        sizes = {"pose": 2, "light": 1, "identity": 2}
        changed = GatedBetaVAE.from_parent(model, partitions=sizes, rest=["identity"])
        assert changed.partitions == Partitions(sizes, rest=["identity"])
        assert model.partitions == Partitions(SIZES, rest=["identity"])
        changed.save(str(tmp_path))
        assert GatedBetaVAE.load_from_folder(str(tmp_path)).partitions == changed.partitions

    def test_without_partitions_a_gated_model_keeps_its_own(self):
        model = GatedBetaVAE(make_config(rest=["identity"]))
        assert GatedBetaVAE.from_parent(model).partitions == model.partitions

    def test_a_gated_model_keeps_its_scheme(self):
        model = GatedBetaVAE(make_config(closed_partitions="input"))
        kept = GatedBetaVAE.from_parent(model, partitions={"pose": 5})
        assert kept.model_config.closed_partitions == "input"
        changed = GatedBetaVAE.from_parent(model, closed_partitions="target")
        assert changed.model_config.closed_partitions == "target"

    def test_fields_of_the_gated_config_are_changed_and_no_others(self):
        parent = BetaVAE(BetaVAEConfig((1, 4, 4), latent_dim=5))
        model = GatedBetaVAE.from_parent(parent, partitions=SIZES, robust_pairs=True)
        assert model.model_config.robust_pairs
        changed = GatedBetaVAE.from_parent(model, closed_rest="zero", agreement=0.0)
        fields = changed.model_config
        assert (fields.closed_rest, fields.agreement) == ("zero", 0.0)
        assert fields.robust_pairs
        assert fields.partitions == SIZES
        with pytest.raises(TypeError, match=r"change beta, latent_dim: only .* set model\.beta"):
            GatedBetaVAE.from_parent(model, beta=2.0, latent_dim=6)
        with pytest.raises(ValidationError, match=r"agreement=-1\.0: expected a finite number"):
            GatedBetaVAE.from_parent(model, agreement=-1.0)

    def test_an_unregistered_subclass_takes_the_config_of_its_base(self):
        class Trimmed(GatedBetaVAE):
            pass

        parent = BetaVAE(BetaVAEConfig((1, 4, 4), latent_dim=5))
        gated = Trimmed.from_parent(parent, partitions=SIZES)
        assert type(gated) is Trimmed
        assert torch.equal(gated.encoder.embedding.weight, parent.encoder.embedding.weight)

    def test_a_config_with_more_fields_than_the_registered_one_stays(self):
        @dataclass
        class MarginConfig(GatedBetaVAEConfig):
            margin: float = 1.0

        model = GatedBetaVAE(MarginConfig((1, 4, 4), 5, partitions=SIZES, margin=3.0))
        changed = GatedBetaVAE.from_parent(model, rest=["identity"])
        assert isinstance(changed.model_config, MarginConfig)
        assert changed.model_config.margin == 3.0

    def test_modules_that_a_subclass_adds_exist(self):
        class WithHead(GatedBetaVAE):
            def __init__(self, *args, **kwargs):
                super().__init__(*args, **kwargs)
                self.head = torch.nn.Linear(2, 1)

        parent = BetaVAE(BetaVAEConfig((1, 4, 4), latent_dim=5)).double().eval()
        gated = WithHead.from_parent(parent, partitions=SIZES)
        assert not gated.head.training
        assert gated.head.weight.dtype == torch.float64
        assert gated.head(gated.embed_partitions(torch.rand(3, 1, 4, 4))["pose"]).shape == (3, 1)

    def test_a_parent_that_cannot_be_gated_is_named(self):
        with pytest.raises(TypeError, match=r"^AE: AE cannot be gated\. .* Parents that can be"):
            GatedBetaVAE.from_parent(AE(AEConfig((1, 4, 4), latent_dim=5)))

    def test_the_checks_of_the_first_batch_are_made_again(self):
        model, plain = GatedBetaVAE(make_config()), {"data": torch.rand(3, 1, 4, 4)}
        for _ in range(2):
            with pytest.warns(UserWarning, match="trains on images without pairs"):
                model(plain)
            model = GatedBetaVAE.from_parent(model, rest=["identity"])

    def test_warnings_are_those_of_the_constructor(self):
        parent = INFOVAE_MMD(INFOVAE_MMD_Config((1, 4, 4), latent_dim=5))
        with pytest.warns(UserWarning, match="it is maximised"):
            GatedINFOVAE_MMD.from_parent(parent, partitions=SIZES)

    def test_a_users_own_vae_is_refused_with_the_class_to_define(self):
        class Own(BetaVAE):
            pass

        own = Own(BetaVAEConfig((1, 4, 4), latent_dim=5))
        with pytest.raises(TypeError, match=r"got a Own, which needs class GatedOwn"):
            GatedBetaVAE.from_parent(own, partitions=SIZES)


def test_networks_of_other_shapes_than_the_data():
    """A decoder of flat images beside an encoder that needs two dimensions."""

    class Rows(BaseEncoder):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 5)

        def forward(self, x):
            assert x.shape[1:] == (1, 4, 4)
            code = self.layer(x[:, 0]).mean(1)
            return ModelOutput(embedding=code, log_covariance=code)

    class Flat(BaseDecoder):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(5, 16)

        def forward(self, z):
            return ModelOutput(reconstruction=self.layer(z))

    model = GatedBetaVAE(make_config(rest=["identity"]), Rows(), Flat())
    x, t = torch.rand(3, 1, 4, 4), torch.rand(3, 1, 4, 4)
    assert model({"data": x, "target": t, "gate": torch.tensor([[True, False]] * 3)}).loss > 0
