import json
import math
import sys
from datetime import datetime
from importlib.machinery import ModuleSpec
from unittest.mock import MagicMock

import numpy as np
import pandas as pd
import pytest
import torch
from pythae.models import (
    CIWAE,
    AutoModel,
    BetaTCVAE,
    BetaTCVAEConfig,
    BetaVAE,
    BetaVAEConfig,
    CIWAEConfig,
    DisentangledBetaVAE,
    DisentangledBetaVAEConfig,
)
from pythae.pipelines import TrainingPipeline
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import (
    CometCallback,
    MLFlowCallback,
    TrainingCallback,
    WandbCallback,
)
from torch.nn.parallel import DistributedDataParallel

from pythae_gated import (
    GatedBetaVAE,
    GatedBetaVAEConfig,
    GatedVAE,
    GatedVAEConfig,
    PairedDataset,
    Partitions,
)
from pythae_gated.callbacks import EvaluationCallback, KLWarmup
from pythae_gated.metrics import evaluate
from tests.support.models import FIRST_SCHEME
from tests.support.quick_metrics import use_quick_metrics

N = 48
IMAGES = np.random.default_rng(0).random((N, 1, 4, 4), dtype=np.float32)
FACTORS = {"pose": np.arange(N) % 2, "light": IMAGES.mean(axis=(1, 2, 3))}
PARTITIONS = {"view": 2, "rest": 3}


@pytest.fixture(autouse=True)
def quick_metrics(monkeypatch):
    use_quick_metrics(monkeypatch)


class Watch(TrainingCallback):
    """Notes the model's beta at each event, and the logs."""

    def __init__(self):
        self.betas = {"train": [], "eval": [], "epoch end": [], "train end": []}
        self.logs = []

    def _note(self, when, model):
        self.betas[when].append(model.beta)

    def on_train_step_end(self, training_config, **kwargs):
        self._note("train", kwargs["model"])

    def on_eval_step_end(self, training_config, **kwargs):
        self._note("eval", kwargs["model"])

    def on_epoch_end(self, training_config, **kwargs):
        self._note("epoch end", kwargs["model"])

    def on_train_end(self, training_config, **kwargs):
        self._note("train end", kwargs["model"])

    def on_log(self, training_config, logs, **kwargs):
        self.logs.append(dict(logs))


class NeverCopied(EvaluationCallback):
    def __deepcopy__(self, memo):
        raise AssertionError("copied")

    def __reduce__(self):
        raise AssertionError("pickled")


def make_model(config_class=GatedBetaVAEConfig, model_class=GatedBetaVAE, **kwargs):
    torch.manual_seed(0)
    return model_class(config_class((1, 4, 4), 5, partitions=PARTITIONS, rest=["rest"], **kwargs))


def make_evaluation(callback_class=EvaluationCallback, factors=("pose",), **kwargs):
    factors = {name: FACTORS[name] for name in factors}
    return callback_class(IMAGES, factors, intended={"pose": "view"}, **kwargs)


def make_trainer(model, callbacks, folder, *, epochs=2, with_eval=True, **kwargs):
    data = PairedDataset(IMAGES, Partitions(PARTITIONS, ["rest"]), {"view": FACTORS["pose"]})
    config = BaseTrainerConfig(
        str(folder), num_epochs=epochs, per_device_train_batch_size=N, no_cuda=True, **kwargs
    )
    evaluated = data.split(range(N), seed=0) if with_eval else None
    return BaseTrainer(model, data, evaluated, config, callbacks=callbacks)


def read(path):
    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    return [json.loads(line, parse_constant=refuse) for line in path.read_text().splitlines()]


# EvaluationCallback


@pytest.mark.parametrize(("every", "expected"), [(1, [0, 1, 2, 3]), (2, [0, 2, 3]), (5, [0, 3])])
def test_each_nth_epoch_and_the_last_are_written(every, expected, tmp_path):
    callback = make_evaluation(every=every)
    make_trainer(make_model(), [callback], tmp_path, epochs=3).train()
    lines = read(tmp_path / "evaluation.jsonl")
    assert [line["epoch"] for line in lines] == expected == list(callback.evaluations)


def test_a_line_holds_what_evaluate_finds(tmp_path):
    model = make_model()
    callback = make_evaluation(factors=FACTORS, seed=3, codes="mean")
    make_trainer(model, [callback], tmp_path).train()
    first, *_, last = read(tmp_path / "evaluation.jsonl")
    found = evaluate(model, IMAGES, FACTORS, intended={"pose": "view"}, seed=3, codes="mean")
    assert last.pop("run") == first["run"]
    assert {"train_epoch_loss", "eval_epoch_loss"} == last.keys() - first.keys()
    expected = {
        "epoch": 2,
        "train_epoch_loss": last["train_epoch_loss"],
        "eval_epoch_loss": last["eval_epoch_loss"],
        "eval_dci_disentanglement": found.disentanglement,
        "eval_dci_completeness": found.completeness,
        "eval_dci_informativeness": found.mean_informativeness,
        "eval_alignment": found.share["view"]["pose"],
        "eval_leakage": found.leakage["pose"],
        "eval_reconstruction_error": found.reconstruction_error,
        "eval_kl": found.kl.sum(),
    }
    for name in PARTITIONS:
        expected[f"eval_kl_{name}"] = found.kl_by_partition[name]
        for factor in FACTORS:
            expected[f"eval_informativeness_{factor}"] = found.informativeness[factor]
            expected[f"eval_score_{name}_{factor}"] = found.scores[name][factor]
            expected[f"eval_share_{name}_{factor}"] = found.share[name][factor]
    assert last == pytest.approx(expected)


def test_an_ungated_model_is_evaluated_with_given_partitions(tmp_path):
    model = BetaVAE(BetaVAEConfig((1, 4, 4), 5))
    callback = EvaluationCallback(IMAGES, FACTORS, partitions={"a": 1, "b": 4})
    make_trainer(model, [callback], tmp_path, epochs=1).train()
    last = read(tmp_path / "evaluation.jsonl")[-1]
    assert {"eval_share_a_pose", "eval_share_b_light"} <= last.keys()
    assert not {"eval_alignment", "eval_leakage", "eval_leakage_of_means"} & last.keys()


def test_leakage_of_means_is_logged_beside_that_of_samples(tmp_path):
    callback = make_evaluation()
    make_trainer(make_model(), [callback], tmp_path, epochs=1).train()
    last, found = read(tmp_path / "evaluation.jsonl")[-1], callback.evaluations[1]
    assert last["eval_leakage"] == found.leakage["pose"]
    assert last["eval_leakage_of_means"] == found.leakage_of_means["pose"]


def test_a_second_run_is_appended_to_the_users_file(tmp_path):
    path = tmp_path / "a folder" / "of my own.jsonl"
    path.parent.mkdir()
    path.write_text('{"mine": 1}\n')
    callback = make_evaluation(path=path)
    for _ in range(2):
        make_trainer(make_model(), [callback], tmp_path / "run", epochs=1).train()
    mine, *lines = read(path)
    assert mine == {"mine": 1}
    assert [line["epoch"] for line in lines] == [0, 1, 0, 1]
    runs = [datetime.fromisoformat(line["run"]) for line in lines]
    assert runs[0] == runs[1] < runs[2] == runs[3]
    assert list(callback.evaluations) == [0, 1]
    assert not (tmp_path / "run" / "evaluation.jsonl").exists()


def test_the_folder_of_the_path_is_made(tmp_path):
    path = tmp_path / "new" / "folder" / "figures.jsonl"
    make_trainer(make_model(), [make_evaluation(path=str(path))], tmp_path, epochs=1).train()
    assert len(read(path)) == 2


def test_values_that_json_lacks_are_written_as_null_or_text(tmp_path):
    class Other(TrainingCallback):
        def on_log(self, training_config, logs, **kwargs):
            logs.update({"nan": math.nan, "infinite": math.inf, "path": tmp_path})

    make_trainer(make_model(), [Other(), make_evaluation()], tmp_path, epochs=1).train()
    last = read(tmp_path / "evaluation.jsonl")[-1]
    assert (last["nan"], last["infinite"], last["path"]) == (None, None, str(tmp_path))


def test_two_callbacks_have_a_prefix_each(tmp_path):
    def evaluations(**second):
        return [
            EvaluationCallback(IMAGES, FACTORS, intended={"light": "view"}),
            EvaluationCallback(IMAGES, FACTORS, codes="mean", **second),
        ]

    with pytest.raises(
        ValueError, match=r"'eval_\w+' is logged by another .*: give this one a pre"
    ):
        make_trainer(make_model(), evaluations(), tmp_path, epochs=1).train()
    path = tmp_path / "test.jsonl"
    both = evaluations(prefix="test", path=path)
    make_trainer(make_model(), both, tmp_path, epochs=1).train()
    last = read(path)[-1]
    for key, callback in zip(("eval", "test"), both, strict=True):
        assert last[f"{key}_kl"] == float(callback.evaluations[1].kl.sum())
    assert "test_alignment" not in last


def test_names_become_valid_in_mlflow(tmp_path):
    callback = EvaluationCallback(IMAGES, {"größe (cm)": FACTORS["light"]})
    make_trainer(make_model(), [callback], tmp_path, epochs=1).train()
    assert "eval_share_view_größe_cm_" in read(tmp_path / "evaluation.jsonl")[-1]


@pytest.fixture
def modules(monkeypatch):
    """Fake modules of the trackers, which Pythae's own callbacks import."""
    found = {}
    for name in ("wandb", "mlflow", "comet_ml"):
        found[name] = MagicMock()
        found[name].__spec__ = ModuleSpec(name, None)  # Pythae looks for it
        monkeypatch.setitem(sys.modules, name, found[name])
    return found


def make_trackers(folder):
    trackers = [WandbCallback(), MLFlowCallback(), CometCallback()]
    for tracker in trackers:
        tracker.setup(BaseTrainerConfig(str(folder)))
    return trackers


def tracked(modules):
    """What reached wandb, mlflow and comet, a mapping an epoch each."""
    experiment = modules["comet_ml"].get_global_experiment()
    return (
        [call.args[0] for call in modules["wandb"].log.call_args_list],
        [call.kwargs["metrics"] for call in modules["mlflow"].log_metrics.call_args_list],
        [call.args[0] for call in experiment.log_metrics.call_args_list],
    )


def test_pythaes_trackers_receive_the_results(modules, tmp_path):
    callbacks = [KLWarmup(1), make_evaluation(), *make_trackers(tmp_path)]
    make_trainer(make_model(), callbacks, tmp_path).train()
    lines = read(tmp_path / "evaluation.jsonl")[1:]
    figures = [{k: v for k, v in line.items() if k not in ("run", "epoch")} for line in lines]
    assert "eval_share_view_pose" in figures[0]
    assert "train_beta" in figures[0]
    renamed = [
        {k.replace("train_", "train/").replace("eval_", "eval/"): v for k, v in each.items()}
        for each in figures
    ]
    in_wandb, in_mlflow, in_comet = tracked(modules)
    assert in_wandb == [
        {**each, "train/global_step": epoch} for epoch, each in enumerate(renamed, 1)
    ]
    assert in_mlflow == renamed
    assert in_comet == figures


def test_trackers_before_the_callback_receive_nothing(modules, tmp_path):
    make_trainer(make_model(), [*make_trackers(tmp_path), make_evaluation()], tmp_path).train()
    in_wandb, in_mlflow, _ = tracked(modules)
    assert in_wandb[0].keys() == {"train/epoch_loss", "eval/epoch_loss", "train/global_step"}
    assert in_mlflow[0].keys() == {"train/epoch_loss", "eval/epoch_loss"}


def test_progress_is_shown_by_pythaes_logger(tmp_path, caplog):
    callback = make_evaluation()
    make_trainer(make_model(), [callback], tmp_path, epochs=1).train()
    (shown,) = [each for each in caplog.records if each.getMessage().startswith("Epoch 1:")]
    assert shown.name == "pythae.trainers.base_trainer.base_trainer"
    found = callback.evaluations[1]
    assert f"reconstruction_error {found.reconstruction_error:.2f}" in shown.getMessage()
    assert f"alignment {found.share['view']['pose']:.2f}" in shown.getMessage()


def test_training_is_bit_for_bit_as_without_the_callback(tmp_path):
    weights = []
    for callbacks in ([], [make_evaluation(NeverCopied)]):
        trainer = make_trainer(make_model(), callbacks, tmp_path, steps_saving=1, steps_predict=1)
        trainer.train()
        weights.append((trainer.model.state_dict(), torch.get_rng_state(), trainer.model.training))
    (plain, state, mode), (evaluated, state_evaluated, mode_evaluated) = weights
    assert all(torch.equal(plain[key], evaluated[key]) for key in plain)
    assert torch.equal(state, state_evaluated)
    assert mode == mode_evaluated


@pytest.mark.parametrize(("rank", "writes"), [(-1, True), (0, True), (1, False)])
def test_only_rank_0_evaluates(rank, writes, tmp_path):
    config = BaseTrainerConfig(str(tmp_path), num_epochs=1)
    config.rank = rank
    model, callback, logs = make_model(), make_evaluation(), {}
    callback.on_train_begin(config, model=model, model_config=model.model_config)
    callback.on_log(config, logs=logs, model=model, global_step=1, rank=rank)
    assert (tmp_path / "evaluation.jsonl").exists() is bool(logs) is writes


@pytest.fixture
def ddp(tmp_path):
    init = f"file://{tmp_path}/init"
    torch.distributed.init_process_group("gloo", init_method=init, rank=0, world_size=1)
    yield DistributedDataParallel
    torch.distributed.destroy_process_group()


def test_the_model_is_taken_out_of_ddp(ddp, tmp_path):
    config = BaseTrainerConfig(str(tmp_path), num_epochs=2)
    model, callback, warmup = make_model(beta=4.0), make_evaluation(), KLWarmup(1)
    wrapped = ddp(model)
    for each in (callback, warmup):
        each.on_train_begin(config, model=wrapped, model_config=model.model_config)
    assert callback.evaluations[0].partitions.sizes == PARTITIONS
    warmup.on_train_step_begin(config, model=wrapped, epoch=1)
    assert model.beta == 0.0
    warmup.on_eval_step_begin(config, model=wrapped, epoch=1)
    assert model.beta == 4.0


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "2"])
def test_a_bad_interval_is_refused(every):
    with pytest.raises(ValueError, match=r"every=.*: expected an int number of epochs"):
        make_evaluation(every=every)


def test_an_option_that_evaluate_lacks_is_refused():
    with pytest.raises(TypeError, match="unexpected keyword argument 'intendet'"):
        EvaluationCallback(IMAGES, FACTORS, intendet={"pose": "view"})


def test_factors_in_another_order_than_the_data_are_refused():
    table, factors = pd.DataFrame(IMAGES.reshape(N, -1)), pd.DataFrame(FACTORS)
    EvaluationCallback(table, factors)
    with pytest.raises(ValueError, match="'pose' have the index of the data in another order"):
        EvaluationCallback(table, factors[::-1])


def test_factors_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"'pose' has shape \(48,\): expected \(40,\)"):
        EvaluationCallback(IMAGES[:40], FACTORS)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"codes": "median"}, "codes='median'"),
        ({"partitions": {"a": 2}}, "sum to 2"),
        ({"intended": {"pose": "nowhere"}}, "nowhere"),
        ({"path": "/dev/null/figures.jsonl"}, "/dev/null"),
    ],
)
def test_other_errors_stop_the_run_before_training(options, error, tmp_path):
    watch = Watch()
    trainer = make_trainer(
        make_model(), [EvaluationCallback(IMAGES, FACTORS, **options), watch], tmp_path
    )
    with pytest.raises((ValueError, OSError), match=error):
        trainer.train()
    assert watch.betas["train"] == []


def test_two_results_with_one_key_are_refused_before_training(tmp_path):
    watch = Watch()
    factors = {"a b": FACTORS["pose"], "a_b": FACTORS["pose"]}
    trainer = make_trainer(make_model(), [EvaluationCallback(IMAGES, factors), watch], tmp_path)
    with pytest.raises(ValueError, match="two results have the key 'eval_informativeness_a_b'"):
        trainer.train()
    assert watch.betas["train"] == []


# KLWarmup


@pytest.mark.parametrize("start", [0.0, 1.0])
@pytest.mark.parametrize(
    "make",
    [
        lambda: make_model(beta=4.0),
        lambda: BetaVAE(BetaVAEConfig((1, 4, 4), 5, beta=4.0)),
        lambda: BetaTCVAE(BetaTCVAEConfig((1, 4, 4), 5, beta=4.0)),
        lambda: DisentangledBetaVAE(DisentangledBetaVAEConfig((1, 4, 4), 5, beta=4.0)),
    ],
    ids=["GatedBetaVAE", "BetaVAE", "BetaTCVAE", "DisentangledBetaVAE"],
)
def test_beta_rises_over_the_first_epochs(make, start, tmp_path):
    model, watch = make(), Watch()
    make_trainer(model, [KLWarmup(3, start=start), watch], tmp_path, epochs=5).train()
    third = (4.0 - start) / 3
    assert watch.betas["train"] == pytest.approx([start, start + third, 4.0 - third, 4.0, 4.0])
    assert watch.betas["train"][3:] == [4.0] * 2  # exactly
    assert watch.betas["eval"] == watch.betas["epoch end"] == [4.0] * 5
    assert watch.betas["train end"] == [4.0]
    assert [logs["train_beta"] for logs in watch.logs] == watch.betas["train"]


def train_to_a_large_beta(folder, **kwargs):
    """The losses of five epochs, three of which warm up, and which epoch Pythae kept."""
    watch = Watch()
    model = make_model(beta=50.0, **FIRST_SCHEME)
    trainer = make_trainer(model, [KLWarmup(3), watch], folder, epochs=5, **kwargs)
    trainer.train()
    kept = AutoModel.load_from_folder(f"{trainer.training_dir}/final_model").state_dict()
    last = trainer.model.state_dict()
    return watch.logs, all(torch.equal(kept[key], last[key]) for key in kept)


def test_by_evaluation_losses_pythae_keeps_the_last_epoch(tmp_path):
    logs, kept_last = train_to_a_large_beta(tmp_path, learning_rate=1e-3)
    losses = [each["eval_epoch_loss"] for each in logs]
    assert sorted(losses, reverse=True) == losses
    assert kept_last


def test_by_training_losses_pythae_keeps_an_early_epoch_and_a_warning_says_so(tmp_path):
    with pytest.warns(UserWarning, match="will keep the epoch of lowest training loss"):
        logs, kept_last = train_to_a_large_beta(
            tmp_path, learning_rate=1e-3, keep_best_on_train=True
        )
    losses = [each["train_epoch_loss"] for each in logs]
    assert min(losses) == losses[0]
    assert not kept_last


@pytest.mark.parametrize("with_eval", [True, False])
@pytest.mark.filterwarnings("ignore:Pythae will keep the epoch")
def test_whatever_is_saved_reloads_with_the_full_beta(with_eval, tmp_path):
    model = make_model(beta=4.0)
    trainer = make_trainer(
        model, [KLWarmup(2)], tmp_path, epochs=3, with_eval=with_eval, steps_saving=1
    )
    trainer.train()
    for name in ("checkpoint_epoch_1", "checkpoint_epoch_2", "final_model"):
        loaded = AutoModel.load_from_folder(f"{trainer.training_dir}/{name}")
        assert loaded.beta == loaded.model_config.beta == 4.0
    assert model.beta == 4.0


@pytest.mark.filterwarnings("ignore:.*trains on images without pairs")
def test_warns_if_the_pipeline_has_no_evaluation_data(tmp_path):
    pipeline = TrainingPipeline(
        make_model(), BaseTrainerConfig(str(tmp_path), num_epochs=2, no_cuda=True)
    )
    with pytest.warns(UserWarning, match="Give the trainer an eval_dataset"):
        pipeline(IMAGES, callbacks=[KLWarmup(1)])


def test_warns_if_the_training_is_too_short(tmp_path):
    with pytest.warns(UserWarning, match="a warm-up of 2 epochs in a training of 2: no epoch"):
        make_trainer(make_model(), [KLWarmup(2)], tmp_path, epochs=2).train()


def test_warns_after_an_interrupted_warm_up(tmp_path):
    class Interrupt(TrainingCallback):
        def on_train_step_end(self, training_config, **kwargs):
            raise KeyboardInterrupt("stopped")

    model = make_model(beta=4.0)
    with pytest.raises(KeyboardInterrupt, match="stopped"):
        make_trainer(model, [KLWarmup(1), Interrupt()], tmp_path).train()
    with pytest.warns(UserWarning, match=r"beta is 0\.0 and its config's 4\.0.*beta = 4\.0"):
        make_trainer(model, [KLWarmup(1)], tmp_path).train()


@pytest.mark.parametrize("rank", [0, 1])
def test_only_rank_0_warns(rank, tmp_path):
    config = BaseTrainerConfig(str(tmp_path), num_epochs=2, keep_best_on_train=True)
    config.rank = rank
    if rank == 0:
        with pytest.warns(UserWarning, match="lowest training loss"):
            KLWarmup(1).on_train_begin(config, model=make_model())
    else:
        KLWarmup(1).on_train_begin(config, model=make_model())


@pytest.mark.parametrize(
    ("model", "error"),
    [
        (lambda: make_model(GatedVAEConfig, GatedVAE), r"GatedVAE has no beta.*GatedBetaVAE"),
        (
            lambda: CIWAE(CIWAEConfig((1, 4, 4), 5)),
            r"a beta \(0\.5\) that weights no KL",
        ),
    ],
)
def test_a_model_without_a_weight_of_the_kl_is_refused(model, error, tmp_path):
    with pytest.raises(TypeError, match=error):
        make_trainer(model(), [KLWarmup(1)], tmp_path).train()


@pytest.mark.parametrize("epochs", [0, -1, 1.5, True])
def test_a_bad_number_of_epochs_is_refused(epochs):
    with pytest.raises(ValueError, match=r"epochs=.*at least 1"):
        KLWarmup(epochs)


@pytest.mark.parametrize("start", [-0.1, math.nan, math.inf, "0"])
def test_a_bad_start_is_refused(start):
    with pytest.raises(ValueError, match=r"start=.*at least 0"):
        KLWarmup(1, start=start)


def test_a_start_above_the_models_beta_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"start=5\.0 is above the model's beta of 4\.0"):
        make_trainer(make_model(beta=4.0), [KLWarmup(1, start=5.0)], tmp_path).train()
