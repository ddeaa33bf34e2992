"""GatedSchedule: what it changes in each phase, and that nothing else changes."""

import copy
import itertools

import numpy as np
import pytest
import torch
from pythae.models import AutoModel, BetaVAE, BetaVAEConfig
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from torch.optim import optimizer as torch_optimizer
from torch.utils.data import Subset

from pythae_gated import PairedDataset, Partitions
from pythae_gated.callbacks import EvaluationCallback, GatedSchedule, KLWarmup
from tests.support.models import MODELS, make

N, BATCH = 48, 12  # four steps an epoch
IMAGES = np.random.default_rng(0).random((N, 1, 4, 4), dtype=np.float32)
POSE = np.arange(N) % 3


class Watch(TrainingCallback):
    """Notes the state after each step; comes before the schedule, which sets the next."""

    def __init__(self):
        self.scales, self.annealing, self.alone = [], [], []
        self.encoders, self.decoders = [], []
        self.evaluated, self.evaluated_annealing, self.evaluated_rest_shown = [], [], []

    def on_train_step_end(self, training_config, **kwargs):
        model = kwargs["model"]
        self.scales.append(model.regularizer_scale)
        self.annealing.append(model.annealing)
        self.alone.append(model.decoder_only)
        self.encoders.append(copy.deepcopy(model.encoder.state_dict()))
        self.decoders.append(copy.deepcopy(model.decoder.state_dict()))

    def on_eval_step_end(self, training_config, **kwargs):
        self.evaluated.append(kwargs["model"].decoder_only)
        self.evaluated_annealing.append(kwargs["model"].annealing)
        self.evaluated_rest_shown.append(kwargs["model"].rest_shown)


def make_trainer(model, callbacks, folder, *, epochs=6, with_eval=False, **kwargs):
    pairs = PairedDataset(IMAGES, model.partitions, {"pose": POSE, "expression": POSE // 2})
    config = BaseTrainerConfig(
        str(folder), num_epochs=epochs, per_device_train_batch_size=BATCH, no_cuda=True, **kwargs
    )
    evaluated = pairs.split(range(N), seed=0) if with_eval else None
    return BaseTrainer(model, pairs, evaluated, config, callbacks=callbacks)


def same(first, second):
    return all(torch.equal(first[key], second[key]) for key in first)


@pytest.fixture
def model():
    return make("GatedBetaVAE", rest=["identity"])


def note_rates(monkeypatch):
    """The learning rate of each of Adam's steps."""
    rates, read_group = [], torch.optim.Adam._init_group

    def noting(self, group, *args):
        rates.append(group["lr"])
        return read_group(self, group, *args)

    monkeypatch.setattr(torch.optim.Adam, "_init_group", noting)
    return rates


def test_the_three_phases(model, tmp_path, monkeypatch):
    rates, watch = note_rates(monkeypatch), Watch()
    schedule = GatedSchedule(warmup=1 / 4, decay=1 / 2, finish=1 / 3)
    trainer = make_trainer(model, [watch, schedule], tmp_path, learning_rate=0.01)
    trainer.train()
    assert watch.scales == pytest.approx([min(1, step / 6) for step in range(24)])
    assert watch.alone == [False] * 16 + [True] * 8
    first = [min(1, (16 - step) / 8) for step in range(16)]
    second = [min(1, (8 - step) / 4) for step in range(8)]
    assert rates == pytest.approx([0.01 * factor for factor in first + second])
    assert watch.annealing[:16] == pytest.approx([0.3 + 0.7 * factor for factor in first])
    assert trainer.optimizer.param_groups[0]["lr"] == 0.01
    encoders = watch.encoders
    assert [same(*each) for each in itertools.pairwise(encoders)] == watch.alone[1:]
    assert not any(same(*each) for each in itertools.pairwise(watch.decoders))


@pytest.mark.parametrize(
    ("fractions", "hidden", "expected"),  # of 24 steps
    [
        ({"warmup": 1 / 4, "decay": 1 / 2, "finish": 1 / 3}, 0, 9),
        ({"warmup": 1 / 4, "decay": 1 / 2, "finish": 1 / 3}, 12, 12),
        ({"warmup": 1 / 4, "decay": 1 / 2, "finish": 1 / 3}, 1_500, 16),
        ({"decay": 0}, 0, 20),
    ],
)
def test_the_closed_rest_is_the_targets_while_the_learning_rate_falls(
    fractions, hidden, expected, tmp_path, monkeypatch
):
    zeros, zero_rest = [], Partitions.zero_rest

    def noting(self, values):
        zeros.append(len(values))
        return zero_rest(self, values)

    monkeypatch.setattr(Partitions, "zero_rest", noting)
    monkeypatch.setattr("pythae_gated.callbacks.schedules._REST_HIDDEN", hidden)
    model = make("GatedBetaVAE", rest=["identity"], closed_rest="target")
    trainer = make_trainer(model, [GatedSchedule(**fractions)], tmp_path)
    zeros.clear()  # that of Pythae's check of the model
    trainer.train()
    assert len(zeros) == expected
    assert not model.rest_shown
    assert not trainer._best_model.rest_shown


@pytest.mark.parametrize(
    ("decay", "hidden", "expected"), [(0.4, 0, True), (0.4, 20, False), (0, 0, False)]
)
def test_epochs_are_evaluated_with_the_closed_rest_of_the_end(
    decay, hidden, expected, model, tmp_path, monkeypatch
):
    monkeypatch.setattr("pythae_gated.callbacks.schedules._REST_HIDDEN", hidden)
    watch = Watch()
    callbacks = [watch, GatedSchedule(decay=decay)]
    make_trainer(model, callbacks, tmp_path, with_eval=True).train()
    assert watch.evaluated_rest_shown == [expected] * 6


def test_the_best_model_is_not_left_in_the_last_phase(model, tmp_path):
    trainer = make_trainer(model, [GatedSchedule()], tmp_path)
    trainer.train()
    best = trainer._best_model
    assert best is not model
    assert (best.regularizer_scale, best.annealing, best.decoder_only) == (1.0, 1.0, False)


def test_by_default_the_decoder_is_alone_in_the_last_sixth(model, tmp_path):
    watch = Watch()
    make_trainer(model, [watch, GatedSchedule()], tmp_path).train()
    assert watch.alone == [False] * 20 + [True] * 4


def test_the_model_and_torch_are_left_as_they_were(model, tmp_path):
    before = dict(torch_optimizer._global_optimizer_pre_hooks)
    make_trainer(model, [GatedSchedule()], tmp_path, epochs=2).train()
    assert (model.regularizer_scale, model.annealing, model.decoder_only) == (1.0, 1.0, False)
    assert dict(torch_optimizer._global_optimizer_pre_hooks) == before
    assert model.beta == model.model_config.beta


@pytest.mark.parametrize("finish", [0, 1 / 2])
def test_the_optimizer_is_left_as_it_was(model, tmp_path, finish):
    trainer = make_trainer(model, [GatedSchedule(finish=finish)], tmp_path, epochs=2)
    trainer.train()
    before = copy.deepcopy(model.encoder.state_dict())
    torch.stack([each.sum() for each in model.parameters()]).sum().backward()
    trainer.optimizer.step()
    assert not same(before, model.encoder.state_dict())


def test_two_optimizers_follow_the_schedule(model, tmp_path):
    """Of a trainer of one's own, which steps both in each batch."""
    trainer, changes = make_trainer(model, [GatedSchedule(decay=1 / 2)], tmp_path, epochs=3), []
    networks = model.encoder, model.decoder

    def prepare_and_step(output):
        if not changes:
            trainer.both = [torch.optim.SGD(each.parameters(), lr=0.01) for each in networks]
        for each in trainer.both:
            each.zero_grad()
        output.loss.backward()
        for each in model.parameters():
            each.grad = torch.ones_like(each)
        before = [next(each.parameters()).flatten()[0].item() for each in networks]
        for each in trainer.both:
            each.step()
        after = [next(each.parameters()).flatten()[0].item() for each in networks]
        changes.append([old - new for old, new in zip(before, after, strict=True)])

    trainer._optimizers_step = prepare_and_step
    trainer.train()
    falling = [0.01 * min(1, (10 - step) / 5) for step in range(10)]
    of_encoder, of_decoder = zip(*changes, strict=True)
    assert of_encoder == pytest.approx((*falling, 0, 0), abs=1e-6)
    assert of_decoder[:10] == pytest.approx(falling, abs=1e-6)


@pytest.mark.parametrize("network", ["a dict", "tied", "gradients by a closure"])
def test_the_encoder_does_not_change_in_the_last_phase(network, model, tmp_path):
    watch = Watch()
    schedule = GatedSchedule(finish=1 / 2)
    trainer = make_trainer(model, [watch, schedule], tmp_path, epochs=4, learning_rate=0.01)
    if network == "a dict":
        forward = model.encoder.forward
        model.encoder.forward = lambda x: dict(forward(x))
    if network == "tied":
        model.decoder.tied = model.encoder.embedding.weight
        decode = model.decoder.forward
        model.decoder.forward = lambda z: decode(z + 0 * z @ model.decoder.tied[:, :6])
    if network == "gradients by a closure":
        images = torch.from_numpy(IMAGES)
        pair = {"data": images[:BATCH], "target": images[BATCH : 2 * BATCH]}

        def gradients():
            trainer.optimizer.zero_grad()
            loss = model(pair).loss
            loss.backward()
            return loss

        trainer._optimizers_step = lambda output: trainer.optimizer.step(gradients)
    trainer.train()
    assert watch.alone[-1]
    assert same(watch.encoders[-1], watch.encoders[-2])
    assert not same(watch.decoders[-1], watch.decoders[-2])


def test_other_optimizers_are_not_touched(model, tmp_path):
    other = torch.nn.Linear(1, 1)

    class Other(TrainingCallback):
        def on_train_step_begin(self, training_config, **kwargs):
            optimizer = torch.optim.SGD(other.parameters(), lr=1.0)
            before = other.bias.item()
            other(torch.ones(1, 1)).sum().backward()
            optimizer.step()
            other.zero_grad()
            assert other.bias.item() == pytest.approx(before - 1)

    make_trainer(model, [GatedSchedule(decay=0.99), Other()], tmp_path, epochs=3).train()


@pytest.mark.parametrize("with_eval", [True, False])
@pytest.mark.parametrize("keep_best_on_train", [True, False])
def test_pythae_keeps_an_epoch_in_which_the_decoder_finished(
    model, with_eval, keep_best_on_train, tmp_path
):
    watch = Watch()
    trainer = make_trainer(
        model,
        [watch, GatedSchedule(finish=1 / 2)],
        tmp_path,
        with_eval=with_eval,
        keep_best_on_train=keep_best_on_train,
        learning_rate=0.01,
    )
    trainer.train()
    kept = AutoModel.load_from_folder(f"{trainer.training_dir}/final_model")
    assert same(kept.encoder.state_dict(), watch.encoders[-1])
    if with_eval:
        assert watch.evaluated == [False] * 3 + [True] * 3
        assert watch.evaluated_annealing == [0.3] * 6
    ends = [watch.decoders[step] for step in (15, 19, 23)]  # of the last three epochs
    assert any(same(kept.decoder.state_dict(), decoder) for decoder in ends)


def test_without_a_decay_nothing_is_annealed(model, tmp_path):
    watch = Watch()
    callbacks = [watch, GatedSchedule(decay=0)]
    make_trainer(model, callbacks, tmp_path, epochs=2, with_eval=True).train()
    assert set(watch.annealing) == set(watch.evaluated_annealing) == {1.0}


def test_a_scheduler_of_the_trainer_keeps_its_rates(model, tmp_path, monkeypatch):
    rates = note_rates(monkeypatch)
    trainer = make_trainer(
        model,
        [GatedSchedule(decay=0, finish=0)],
        tmp_path,
        epochs=2,
        learning_rate=0.1,
        scheduler_cls="StepLR",
        scheduler_params={"step_size": 1, "gamma": 0.5},
    )
    trainer.train()
    assert rates == pytest.approx([0.1] * 4 + [0.05] * 4)


def test_a_training_that_goes_on_has_a_schedule_of_its_own(model, tmp_path):
    for _ in range(2):
        watch = Watch()
        make_trainer(model, [watch, GatedSchedule()], tmp_path).train()
        assert watch.scales[0] == 0.0
        assert watch.alone == [False] * 20 + [True] * 4


def test_after_an_interruption_the_next_training_starts_anew(model, tmp_path):
    class Interrupt(TrainingCallback):
        def on_train_step_end(self, training_config, **kwargs):
            raise KeyboardInterrupt("stopped")

    before = dict(torch_optimizer._global_optimizer_pre_hooks)
    schedule = GatedSchedule()
    with pytest.raises(KeyboardInterrupt, match="stopped"):
        make_trainer(model, [schedule, Interrupt()], tmp_path).train()
    watch = Watch()
    make_trainer(model, [watch, schedule], tmp_path).train()
    assert len(watch.scales) == 24
    assert dict(torch_optimizer._global_optimizer_pre_hooks) == before
    assert model.regularizer_scale == 1.0


def test_after_a_training_that_could_not_begin(model, tmp_path, monkeypatch):
    class Refuse(TrainingCallback):
        def on_train_begin(self, training_config, **kwargs):
            raise ValueError("refused")

    before = dict(torch_optimizer._global_optimizer_pre_hooks)
    schedule = GatedSchedule(decay=1 / 2, finish=0)
    with pytest.raises(ValueError, match="refused"):
        make_trainer(model, [schedule, Refuse()], tmp_path).train()
    rates = note_rates(monkeypatch)
    for each in (schedule, GatedSchedule(decay=1 / 2, finish=0)):
        rates.clear()
        make_trainer(model, [each], tmp_path, epochs=2, learning_rate=0.01).train()
        assert rates == pytest.approx([0.01 * min(1, (8 - step) / 4) for step in range(8)])
    assert dict(torch_optimizer._global_optimizer_pre_hooks) == before


def test_an_optimizer_that_steps_every_second_batch(model, tmp_path, monkeypatch):
    rates = note_rates(monkeypatch)
    trainer = make_trainer(
        model, [GatedSchedule(decay=1 / 2, finish=0)], tmp_path, epochs=2, learning_rate=0.01
    )
    take_step, steps = trainer._optimizers_step, iter(range(8))
    trainer._optimizers_step = lambda output: take_step(output) if next(steps) % 2 else None
    trainer.train()
    assert rates == pytest.approx([0.01, 0.01, 0.01 * 3 / 4, 0.01 * 1 / 4])


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_the_loss_is_the_reconstructions_while_the_decoder_is_alone(name, training):
    model, images = make(name).train(training), torch.from_numpy(IMAGES)
    pair = {"data": images[:10], "target": images[10:]}
    outputs = []
    for alone, inputs in ((True, pair), (True, {"data": images}), (False, {"data": images})):
        model.decoder_only = alone
        torch.manual_seed(0)
        outputs.append(model(inputs))
    pairs, plain, whole = outputs
    assert pairs.loss == plain.loss == whole.recon_loss < whole.loss
    shown = plain.recon_x[-10:] if training else plain.recon_x[:10]  # as in other phases
    assert torch.equal(pairs.recon_x, shown)
    assert torch.equal(pairs.z, plain.z[:10])


class OwnStep(torch.optim.Adam):
    """Its step calls that of Adam, and torch calls the hooks of both."""

    def step(self, closure=None):
        return super().step(closure)


class Wrapper(torch.optim.Optimizer):
    """An optimizer around another, with its groups, as Lookahead."""

    def __init__(self, parameters):
        self.inner = torch.optim.Adam(parameters)
        super().__init__(self.inner.param_groups, {})
        self.param_groups = self.inner.param_groups

    def step(self, closure=None):
        return self.inner.step(closure)


@pytest.mark.parametrize("make_optimizer", [OwnStep, Wrapper])
def test_nested_optimizers_have_the_rates_of_one(make_optimizer, model, tmp_path, monkeypatch):
    found, start = [], 1e-3
    for each in (torch.optim.Adam, make_optimizer):
        rates = note_rates(monkeypatch)
        trainer = make_trainer(model, [GatedSchedule()], tmp_path, epochs=3)
        trainer.set_optimizer = lambda each=each, trainer=trainer: setattr(
            trainer, "optimizer", each(trainer.model.parameters())
        )
        trainer.train()
        found.append(list(rates))
        monkeypatch.undo()
        assert [group["lr"] for group in trainer.optimizer.param_groups] == [start]
    assert len(found[0]) == 12
    assert found[0] == pytest.approx(found[1])


@pytest.mark.parametrize("name", MODELS)
def test_all_models_train_with_it(name, tmp_path):
    check_training(make(name, rest=["identity"]), [], tmp_path)


def test_beside_an_evaluation_after_the_last_epoch(model, tmp_path):
    evaluation = EvaluationCallback(IMAGES, {"pose": POSE.astype(str)}, every=100)
    check_training(model, [evaluation], tmp_path)
    assert (tmp_path / "evaluation.jsonl").exists()


def check_training(model, others, folder):
    watch = Watch()
    make_trainer(model, [watch, GatedSchedule(), *others], folder, epochs=3).train()
    assert same(watch.encoders[-1], watch.encoders[-2])
    assert all(value.isfinite().all() for value in model.state_dict().values())


def test_beside_a_warm_up_of_beta(model, tmp_path):
    warmup = KLWarmup(1)
    make_trainer(model, [warmup, GatedSchedule()], tmp_path, epochs=2, with_eval=True).train()
    assert model.beta == model.model_config.beta


def test_a_frozen_decoder_is_refused_before_the_last_phase(model, tmp_path):
    model.decoder.requires_grad_(False)
    with pytest.raises(ValueError, match=r"decoder does not train: use GatedSchedule\(finish=0\)"):
        make_trainer(model, [GatedSchedule()], tmp_path).train()
    watch = Watch()
    make_trainer(model, [watch, GatedSchedule(finish=0)], tmp_path, epochs=2).train()
    assert not any(watch.alone)


def test_a_second_schedule_is_refused(model, tmp_path):
    with pytest.raises(ValueError, match="two GatedSchedules among the callbacks: leave one out"):
        make_trainer(model, [GatedSchedule(), GatedSchedule()], tmp_path, epochs=2).train()
    make_trainer(model, [GatedSchedule()], tmp_path, epochs=2).train()


def test_the_schedule_of_a_training_that_failed_has_no_effect(model, tmp_path, monkeypatch):
    rates, whole = note_rates(monkeypatch), model.forward
    calls = iter([True])  # of Pythae's check; the first step fails
    monkeypatch.setattr(model, "forward", lambda x, **kw: whole(x, **kw) if any(calls) else 1 / 0)
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        make_trainer(model, [GatedSchedule()], tmp_path, epochs=2).train()
    monkeypatch.setattr(model, "forward", whole)
    schedule = GatedSchedule(decay=1.0 - 1e-9, finish=0)
    make_trainer(model, [schedule], tmp_path, epochs=1, learning_rate=0.01).train()
    assert rates == pytest.approx([0.01, 0.0075, 0.005, 0.0025])


def test_all_steps_can_be_of_the_last_phase(model, tmp_path):
    watch = Watch()
    make_trainer(model, [watch, GatedSchedule(finish=0.9)], tmp_path, epochs=1).train()
    assert watch.alone == [True] * 4


def test_without_a_last_phase_the_decoder_is_never_alone(model, tmp_path):
    seen = []

    class AtTheEnd(TrainingCallback):
        def on_epoch_end(self, training_config, **kwargs):
            seen.append(kwargs["model"].decoder_only)

    make_trainer(model, [GatedSchedule(finish=0), AtTheEnd()], tmp_path, epochs=2).train()
    assert seen == [False, False]


def test_it_is_for_gated_models():
    plain = BetaVAE(BetaVAEConfig((1, 4, 4), 6))
    text = "for gated models, and BetaVAE is not one; add the prefix Gated to its class, or leave"
    with pytest.raises(TypeError, match=text):
        GatedSchedule().on_train_begin(BaseTrainerConfig(), model=plain)


@pytest.mark.parametrize("name", ["warmup", "decay", "finish"])
@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan"), "0.5"])
def test_shares_are_from_0_to_below_1(name, share):
    with pytest.raises(ValueError, match=f"{name}=.*expected a fraction from 0 to below 1"):
        GatedSchedule(**{name: share})


def test_on_a_subset_of_pairs(model, tmp_path):
    pairs = PairedDataset(IMAGES, model.partitions, {"pose": POSE, "expression": POSE // 2})
    config = BaseTrainerConfig(
        str(tmp_path), num_epochs=2, per_device_train_batch_size=BATCH, no_cuda=True
    )
    watch = Watch()
    data = Subset(pairs, list(range(30)))
    BaseTrainer(model, data, None, config, callbacks=[watch, GatedSchedule()]).train()
    assert len(watch.scales) == 6
