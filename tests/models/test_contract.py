"""What every gated model does. A new one is tested once it is in tests/support/models.py."""

import copy
import pickle
import subprocess
import sys
import warnings

import pytest
import torch
from pythae.models import (
    AutoModel,
)
from pythae.models.auto_model import AutoConfig
from pythae.trainers import BaseTrainer, BaseTrainerConfig

import pythae_gated
from tests.support.models import (
    MODELS,
    SIZES,
    B,
    L,
    alike,
    make,
    make_batch,
    make_parent,
    run,
    same,
)


@pytest.fixture(params=MODELS)
def name(request):
    return request.param


@pytest.fixture(params=["target", "input"])
def closed(request):
    return request.param


@pytest.fixture(params=[[], ["identity"]], ids=["no rest", "rest"])
def rest(request):
    return request.param


class TestClosedMeansZero:
    @pytest.mark.parametrize("hsic", [0.0, 10.0], ids=["no HSIC", "HSIC"])
    def test_for_each_sample_exactly(self, name, closed, rest, hsic):
        batch = make_batch()
        model = make(name, closed_partitions=closed, rest=rest, rest_hsic=hsic)
        _, _, row_grads = run(model, batch)
        mask = batch["gate"].repeat_interleave(torch.tensor([2, 1, 3]), dim=1)
        zero = ~mask
        if hsic and rest and closed == "target":
            zero[:, 3:] = False  # HSIC trains the rest
        for grad in row_grads:
            rows = grad.reshape(-1, B, L)  # "target" encodes x and t
            assert len(rows) == (2 if closed == "target" else 1)
            for half in rows:
                assert (half[zero] == 0).all()
                assert (half[mask] != 0).all()

    def test_the_targets_code_in_a_closed_rest_gets_no_gradient(self, name):
        given = {"rest": ["identity"], "rest_hsic": 0.0, "closed_rest": "target"}
        batch = make_batch()
        model = make(name, **given)
        model.rest_shown = True
        _, _, row_grads = run(model, batch)
        mask = batch["gate"].repeat_interleave(torch.tensor([2, 1, 3]), dim=1)
        for grad in row_grads:
            for half in grad.reshape(2, B, L):
                assert (half[~mask] == 0).all()
                assert (half[mask] != 0).all()

    def test_input_leaves_open_dimensions_and_the_decoder_as_they_are(self, name, rest):
        model = make(name, closed_partitions="input", rest=rest)
        batch = make_batch()
        _, grads, rows = run(model, batch)
        _, all_grads, all_rows = run(model, {**batch, "gate": torch.ones(B, 3).bool()})
        mask = batch["gate"].repeat_interleave(torch.tensor([2, 1, 3]), dim=1)
        for grad, open_grad in zip(rows, all_rows, strict=True):
            assert torch.equal(grad[mask], open_grad[mask])
        for key in grads:
            if key.startswith("decoder"):
                assert torch.equal(grads[key], all_grads[key])

    def test_a_wholly_closed_gate_gives_zeros_and_not_none(self, name, closed):
        _, grads, _ = run(make(name, closed_partitions=closed), make_batch(torch.zeros(B, 3) > 0))
        assert all((grad == 0).all() for key, grad in grads.items() if key.startswith("encoder"))
        assert any((grad != 0).any() for key, grad in grads.items() if key.startswith("decoder"))


class TestSwappedIsTheSame:
    @pytest.mark.parametrize("custom", [False, True], ids=["default", "custom"])
    @pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
    def test_outputs_gradients_and_keys_to_the_bit(self, name, closed, rest, custom, training):
        ours = make(name, custom=custom, closed_partitions=closed, rest=rest).train(training)
        theirs = make_parent(name, custom=custom).train(training)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        inputs = {"data": make_batch()["data"]}
        output, grads, rows = run(ours, inputs)
        expected, expected_grads, expected_rows = run(theirs, inputs)
        assert list(output) == list(expected)
        assert alike(name, output, expected)
        assert alike(name, grads, expected_grads)
        assert alike(name, *(dict(enumerate(each)) for each in (rows, expected_rows)))

    def test_an_open_gate_is_no_gate(self, name):
        model = make(name, closed_partitions="input")
        data = make_batch()["data"]
        output, grads, _ = run(model, {"data": data, "gate": torch.ones(B, 3).bool()})
        expected, expected_grads, _ = run(model, {"data": data})
        assert same(output, expected)
        assert same(grads, expected_grads)

    def test_three_epochs_of_pythaes_trainer_end_in_the_same_weights(self, name, closed, tmp_path):
        from pythae.data.datasets import BaseDataset

        weights = []
        for model in (make(name, closed_partitions=closed), make_parent(name)):
            dataset = BaseDataset(
                torch.rand(20, 1, 4, 4, generator=torch.Generator().manual_seed(3)), torch.ones(20)
            )
            config = BaseTrainerConfig(
                str(tmp_path), num_epochs=3, per_device_train_batch_size=8, no_cuda=True
            )
            trainer = BaseTrainer(model, dataset, training_config=config)
            trainer.train()
            weights.append(trainer.model.state_dict())
        assert alike(name, *weights)

    @pytest.mark.parametrize("method", ["reconstruct", "embed", "predict", "interpolate"])
    def test_the_parents_methods(self, name, closed, method):
        x = make_batch()["data"]
        results = []
        for model in (make(name, closed_partitions=closed).eval(), make_parent(name).eval()):
            torch.manual_seed(0)
            results.append(getattr(model, method)(*((x, x) if method == "interpolate" else (x,))))
        if method == "predict":
            assert same(*results)
        else:
            assert torch.equal(*results)

    def test_get_nll(self, name, closed):
        x = make_batch()["data"]
        results = []
        for model in (make(name, closed_partitions=closed).eval(), make_parent(name).eval()):
            torch.manual_seed(0)
            results.append(model.get_nll(x, n_samples=4, batch_size=2))
        assert results[0] == results[1]


class TestOutput:
    def test_one_row_an_example_and_finite_at_any_batch_size(self, name, closed, rest):
        model = make(name, closed_partitions=closed, rest=rest)
        for n in (B, 1):
            inputs = {key: value[-n:] for key, value in make_batch().items()}
            output = model(inputs, epoch=1, dataset_size=100, uses_ddp=False)
            assert output.recon_x.shape == (n, 1, 4, 4)
            assert output.z.shape == (n, L)
            assert output.loss.isfinite()

    def test_z_is_the_inputs_own_code(self, name, closed, rest):
        model = make(name, closed_partitions=closed, rest=rest).eval()
        batch = make_batch()
        torch.manual_seed(0)
        z = model(batch).z
        torch.manual_seed(0)
        eps = torch.randn(2 * B if closed == "target" else B, L)[:B]
        own = model.encoder(batch["data"])
        expected = own.embedding + eps * (0.5 * own.log_covariance).exp()
        assert torch.allclose(z, expected, atol=1e-6)

    def test_in_eval_mode_recon_x_decodes_the_inputs_own_code(self, name, closed, rest):
        model = make(name, closed_partitions=closed, rest=rest).eval()
        output = model(make_batch())
        assert torch.allclose(output.recon_x, model.decoder(output.z).reconstruction, atol=1e-6)

    def test_train_and_eval_mode_have_the_same_loss(self, name, closed, rest):
        model = make(name, closed_partitions=closed, rest=rest)
        losses = []
        for training in (True, False):
            torch.manual_seed(0)
            losses.append(model.train(training)(make_batch()).loss)
        assert losses[0] == losses[1]

    def test_a_gate_without_a_target_is_a_self_pair(self, name, closed, rest):
        model = make(name, closed_partitions=closed, rest=rest)
        batch = make_batch()
        gated, _, _ = run(model, {"data": batch["data"], "gate": batch["gate"]})
        pair, _, _ = run(model, {**batch, "target": batch["data"]})
        assert same(gated, pair)

    def test_a_target_without_a_gate_opens_all(self, name, closed, rest):
        model = make(name, closed_partitions=closed, rest=rest)
        batch = make_batch()
        ungated, _, _ = run(model, {"data": batch["data"], "target": batch["target"]})
        opened, _, _ = run(model, {**batch, "gate": torch.ones(B, 3).bool()})
        assert same(ungated, opened)

    def test_bfloat16_autocast(self, name, closed, rest):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            _, grads, _ = run(make(name, closed_partitions=closed, rest=rest), make_batch())
        assert all(grad.isfinite().all() for grad in grads.values())

    def test_users_hooks_on_the_encoder_see_ungated_outputs(self, name, closed):
        model = make(name, closed_partitions=closed)
        doubled = []

        def hook(module, args, output):
            output["embedding"] = output["embedding"] * 2
            doubled.append(output["embedding"])
            return output

        model.encoder.register_forward_hook(hook)
        batch = make_batch()
        model(batch).loss.backward()
        assert torch.allclose(doubled[0][:B], 2 * make(name).encoder(batch["data"]).embedding)
        closed_everywhere = model.encoder.embedding.weight.grad
        assert (closed_everywhere != 0).any()


class TestSaving:
    @pytest.mark.parametrize("custom", [False, True], ids=["default", "custom"])
    def test_reloads_with_partitions_weights_and_outputs(self, name, closed, custom, tmp_path):
        model = make(name, custom=custom, closed_partitions=closed, rest=["identity"]).eval()
        before = run(model, make_batch())
        model.save(str(tmp_path))
        for loader in (AutoModel, type(model)):
            again = loader.load_from_folder(str(tmp_path)).eval()
            assert type(again) is type(model)
            assert again.model_config == model.model_config
            assert again.partitions == model.partitions
            after = run(again, make_batch())
            assert same(before[0], after[0])
            assert same(before[1], after[1])

    @pytest.mark.nightly
    def test_reloads_in_a_fresh_process(self, name, tmp_path):
        check_reload_in_a_fresh_process(name, tmp_path)

    def test_config_goes_through_json(self, name, tmp_path):
        config = make(name, closed_partitions="input", rest=["identity"]).model_config
        config.save_json(str(tmp_path), "config")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            again = AutoConfig.from_json_file(str(tmp_path / "config.json"))
        assert type(again) is type(config)
        assert again == config
        assert list(again.partitions) == list(SIZES)

    @pytest.mark.parametrize("again", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
    def test_copies_and_pickles_gate_too(self, name, closed, again):
        model = make(name, closed_partitions=closed, rest=["identity"])
        output, grads, _ = run(model, make_batch())
        other_output, other_grads, _ = run(again(model), make_batch())
        assert same(output, other_output)
        assert same(grads, other_grads)


class TestWarmStart:
    @pytest.mark.parametrize("custom", [False, True], ids=["default", "custom"])
    def test_a_trained_parent_becomes_a_gated_model(self, name, closed, custom, tmp_path):
        parent = make_parent(name, custom=custom).eval()
        before = copy.deepcopy(parent)
        gated = getattr(pythae_gated, name).from_parent(
            parent, partitions=SIZES, rest=["identity"], closed_partitions=closed
        )
        assert not gated.training
        assert gated.partitions.rest == ("identity",)
        assert gated.model_config.uses_default_encoder is not custom
        inputs = {"data": make_batch()["data"]}
        assert alike(name, run(gated, inputs)[0], run(parent, inputs)[0])
        expected = make(name, custom=custom, closed_partitions=closed, rest=["identity"]).eval()
        assert same(run(gated, make_batch())[1], run(expected, make_batch())[1])
        torch.nn.init.zeros_(next(gated.parameters()))
        assert type(parent) is MODELS[name][0]
        assert parent.model_config == before.model_config
        assert same(parent.state_dict(), before.state_dict())
        gated.save(str(tmp_path))
        again = AutoModel.load_from_folder(str(tmp_path))
        assert again.model_config == gated.model_config
        assert same(again.state_dict(), gated.state_dict())

    def test_values_that_training_changed_come_along(self):
        parent = make_parent("GatedBetaVAE").double()
        parent.beta = 7.0
        gated = pythae_gated.GatedBetaVAE.from_parent(parent, partitions=SIZES)
        assert gated.beta == gated.model_config.beta == 7.0
        assert next(gated.parameters()).dtype == torch.float64

    def test_another_class_is_refused(self):
        with pytest.raises(TypeError, match=r"expects a VAE; got a BetaVAE, .*GatedBetaVAE\("):
            pythae_gated.GatedVAE.from_parent(make_parent("GatedBetaVAE"))
        with pytest.raises(ValueError, match="sum to 3, and latent_dim is 6"):
            pythae_gated.GatedVAE.from_parent(make_parent("GatedVAE"), partitions={"a": 3})


def test_beta_vae_reloads_in_a_fresh_process(tmp_path):
    check_reload_in_a_fresh_process("GatedBetaVAE", tmp_path)


@pytest.mark.slow
def test_compiled_networks_of_beta_vae_gate_too(closed):
    check_compiled("GatedBetaVAE", closed)


@pytest.mark.nightly
def test_compiled_networks_gate_too(name, closed):
    check_compiled(name, closed)


def check_compiled(name, closed):
    model, plain = make(name, closed_partitions=closed), make(name, closed_partitions=closed)
    model.encoder.compile()
    model.decoder.compile()
    for inputs in ({"data": make_batch()["data"]}, make_batch()):
        losses, grads = [], []
        for each in (model, plain):
            torch.manual_seed(0)
            each.zero_grad()
            loss = each(inputs).loss
            loss.backward()
            losses.append(loss)
            grads.append([parameter.grad for parameter in each.parameters()])
        assert torch.allclose(*losses)
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*grads, strict=True))


def check_reload_in_a_fresh_process(name, tmp_path):
    """With Pythae's networks and with a user's own."""
    losses = []
    for folder, custom in (("default", False), ("custom", True)):
        model = make(name, custom=custom).eval()
        model.save(str(tmp_path / folder))
        torch.manual_seed(0)
        losses.append(model(make_batch()).loss.item())
    torch.save(make_batch(), tmp_path / "batch.pt")
    code = (
        "import sys, torch, pythae_gated; from pythae.models import AutoModel\n"
        "assert 'tests' not in sys.modules\n"
        "for folder in ('default', 'custom'):\n"
        "    model = AutoModel.load_from_folder(folder).eval()\n"
        "    torch.manual_seed(0)\n"
        "    print('loss', repr(model(torch.load('batch.pt')).loss.item()))\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    printed = [line.split() for line in done.stdout.splitlines() if line.startswith("loss")]
    assert [float(loss) for _, loss in printed] == losses
