import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from types import SimpleNamespace

import cmu_faces
import numpy as np
import pytest
import study
import torch
from pythae.models import BetaVAE
from quickstart import INTENDED, PARTITIONS
from study_parts import groups, models, remedies, tables
from study_parts.faces import label, load_faces
from study_parts.lines import Lines
from study_parts.run_one import run_one, train_faces
from study_parts.runs import (
    TINY,
    TINY_SETTINGS,
    WHOLE,
    Run,
    Settings,
    choose_weights,
    cost_runs,
    grid_runs,
    main_runs,
)

from pythae_gated import GatedBetaVAEConfig, Partitions
from pythae_gated.datasets import make_faces
from pythae_gated.networks import ConvDecoder

SMALL = Settings(n_train=256, n_test=40, n_fit=256, epochs=2, batch=64)
REST = Partitions(PARTITIONS, ["identity"])
UNIQUE_LABELS = "ignore:.* share their label with no other"


@pytest.fixture(scope="module")
def faces():
    return load_faces(SMALL)


def make_line(run, settings=TINY_SETTINGS, **result):
    scores = {"informativeness": {"yaw": 0.5}, "disentanglement": 0.5, "completeness": 0.5}
    return {"run": asdict(run), "settings": asdict(settings), **scores, **result}


def test_the_documents_show_the_tables_of_the_committed_results():
    results = Lines(study.RESULTS / "study.jsonl", Settings()).results
    expected = tables.make_tables(results)
    documents = [path.read_text() for path in study.DOCUMENTS]
    for text in documents:
        assert tables.fill_tables(text, expected) == text, "run study.py --report"
    for name, table in expected.items():
        assert name == "at-a-glance" or table in "".join(documents), name


def test_only_text_between_markers_is_replaced():
    text = "a\n<!-- table: one -->\nold\n<!-- end -->\nb\n<!-- table: two -->\n<!-- end -->\n"
    filled = tables.fill_tables(text, {"one": "1", "two": "2"})
    assert filled == (
        "a\n<!-- table: one -->\n1\n<!-- end -->\nb\n<!-- table: two -->\n2\n<!-- end -->\n"
    )
    assert tables.fill_tables(filled, {"one": "1", "two": "2"}) == filled


def test_intervals_are_students():
    mean, half = groups.interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert half == pytest.approx(4.302652 * 1.0 / 3**0.5, rel=1e-6)
    assert tables.format_interval([0.5]) == "0.50"
    assert tables.format_interval([1.0, 2.0, 3.0]) == "2.00 ± 2.48"


def test_a_torn_last_line_is_removed_and_its_run_repeated(tmp_path, monkeypatch):
    first, *others = grid_runs(TINY)
    path = tmp_path / "study.jsonl"
    complete = json.dumps(make_line(first, reconstruction_error=1.0)) + "\n"
    path.write_text(complete + '{"run": {"part": "gr')
    lines = Lines(path, TINY_SETTINGS)
    assert path.read_text() == complete
    assert lines.done() == {first}

    executed = []

    def run_all(todo, lines, photographs, workers):
        executed.extend(todo)
        for run in todo:
            lines.add(run, make_line(run, reconstruction_error=1.0))

    monkeypatch.setattr(study, "run_all", run_all)
    study.study(lines, TINY, None)
    assert first not in executed
    assert set(others) <= set(executed)
    assert len(executed) == len(set(executed))
    assert Lines(path, TINY_SETTINGS).done() == {first, *executed}


def test_results_with_other_settings_are_refused(tmp_path):
    path = tmp_path / "study.jsonl"
    path.write_text(json.dumps(make_line(Run("grid", "beta", "ungated", 0.1))) + "\n")
    with pytest.raises(SystemExit, match=r"contains runs with other settings.*another folder"):
        Lines(path, Settings())


@pytest.mark.nightly
def test_a_killed_study_resumes(tmp_path):
    def start():
        command = [sys.executable, study.__file__, "--tiny", "--output", str(tmp_path)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)

    def read():
        path = tmp_path / "study.jsonl"
        return path.read_text().splitlines() if path.exists() else []

    timeout = 900  # seconds; a tiny study takes about one minute
    first, until = start(), time.monotonic() + timeout
    while len(read()) < 5 and time.monotonic() < until:
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    kept = read()
    assert 5 <= len(kept) < 15

    assert start().wait(timeout) == 0
    lines = read()
    assert lines[: len(kept)] == kept
    results = [json.loads(line) for line in lines]
    weights = choose_weights(results)
    without_photographs = replace(TINY, folds=())
    expected = [*grid_runs(TINY), *main_runs(without_photographs, weights)]
    expected += cost_runs(TINY, weights)
    assert sorted(str(Run(**result["run"])) for result in results) == sorted(map(str, expected))
    assert len(list(tmp_path.glob("study_*.png"))) == 4


def test_the_plan_contains_each_run_once():
    weights = {(backbone, "ungated"): 0.1 for backbone in WHOLE.backbones}
    weights |= {("beta", name): 0.1 for name in WHOLE.competitors}
    runs = [*grid_runs(WHOLE), *main_runs(WHOLE, weights), *cost_runs(WHOLE, weights)]
    assert len(runs) == len(set(runs))
    # The claim already contains the gated models with this weight.
    assert not any(run.scheme == "target" for run in runs if run.part == "competitors")
    assert len([run for run in runs if run.part == "claim"]) == 3 * 5 * 5
    assert len([run for run in runs if run.part == "grid"]) == (3 + 6) * len(WHOLE.weights)
    assert not {run.seed for run in runs if run.part == "grid"} & set(WHOLE.seeds)


def test_weights_are_chosen_by_the_mean_of_the_three_scores():
    def scored(scheme, weight, d, i, error):
        run = Run("grid", "beta", scheme, weight)
        scores = {"yaw": i, "pitch": i}
        return make_line(
            run, disentanglement=d, informativeness=scores, reconstruction_error=error
        )

    lines = [
        scored("ungated", 0.1, 0.2, 0.9, 1.0),
        scored("ungated", 0.2, 0.4, 0.8, 2.0),
        scored("ungated", 0.3, 0.5, 0.6, 2.0),
        scored("ungated", 0.5, 0.9, 0.9, 2.1),  # error above twice the lowest
        scored("group", 0.1, 0.9, 0.9, 3.0),
        make_line(Run("claim", "beta", "ungated", 0.7), disentanglement=1.0),
        make_line(Run("grid", "beta", "group", 0.2), diverged=True),
    ]
    assert choose_weights(lines) == {("beta", "ungated"): 0.2, ("beta", "group"): 0.1}


def test_labels_are_removed_and_replaced_at_the_given_rates():
    _, factors = make_faces(4_000, image_size=8)
    plain = label(Run("weak", "beta", "target", 0.1), factors)
    assert list(plain) == ["pose", "expression"]
    few = label(Run("weak", "beta", "target", 0.1, share=0.1), factors)
    wrong = label(Run("noisy", "beta", "target", 0.1, wrong=0.4), factors)
    for name, values in plain.items():
        known = ~np.isnan(few[name])
        assert (known == known[:, :1]).all()
        assert known[:, 0].mean() == pytest.approx(0.1, abs=0.02)
        np.testing.assert_array_equal(few[name][known], values[known])
        # One in about 30 other images has the same label.
        differs = (wrong[name] != values).any(axis=1)
        assert differs.mean() == pytest.approx(0.4 * (1 - 1 / 30), abs=0.03)
        np.testing.assert_array_equal(np.sort(wrong[name], axis=0), np.sort(values, axis=0))


@pytest.mark.parametrize("backbone", WHOLE.backbones)
@pytest.mark.parametrize("scheme", ["ungated", "input", "target"])
def test_each_backbone_has_the_weight_of_its_run(backbone, scheme, faces):
    model = models.make_model(Run("claim", backbone, scheme, 0.25), REST, faces)
    weight = {
        "beta": lambda: model.beta,
        "info": lambda: 1 - model.alpha,
        "dip": lambda: model.noise_variance,
    }[backbone]()
    assert weight == 0.25
    assert hasattr(model, "partitions") == (scheme != "ungated")


def test_dip_vae_divides_its_error_by_the_noise_variance(faces):
    model = models.make_model(Run("claim", "dip", "ungated", 0.25), REST, faces).eval()
    images = torch.from_numpy(faces.images).float() / 255
    output = model({"data": images})
    error = (output.recon_x - images).square().flatten(1).sum(1).mean() / 2
    assert output.recon_loss.item() == pytest.approx(error.item() / 0.25, rel=1e-5)


@pytest.mark.filterwarnings(UNIQUE_LABELS)
@pytest.mark.parametrize("scheme", ["target", "group", "match", "supervised", "blind rest"])
def test_all_models_decode_the_same_number_of_images(scheme, faces, monkeypatch):
    decoded = []
    forward = ConvDecoder.forward

    def counted(self, z):
        decoded.append(len(z))
        return forward(self, z)

    monkeypatch.setattr(ConvDecoder, "forward", counted)
    model = train_faces(Run("competitors", "beta", scheme, 0.1), SMALL, faces)
    sanity_check = 1  # of Pythae, on a first batch
    assert decoded.count(64) - sanity_check == 2 * 256 // 64
    assert all(torch.isfinite(each).all() for each in model.parameters())


@pytest.mark.filterwarnings(UNIQUE_LABELS)
def test_a_diverged_training_is_recorded(tmp_path):
    settings = replace(SMALL, learning_rate=1e30)
    result = run_one(Run("", "beta", "target", 0.1), settings, None, tmp_path)
    assert result["diverged"]
    assert set(result) == {"seconds", "diverged"}


@pytest.mark.slow
def test_photographs_are_evaluated_in_folds(folder, tmp_path, monkeypatch):
    masks = []
    evaluate = cmu_faces.evaluate_held_out
    monkeypatch.setattr(
        cmu_faces, "evaluate_held_out", lambda *args: masks.append(args[-1]) or evaluate(*args)
    )
    for fold in range(2):
        run = Run("photographs", "beta", "group", 0.05, seed=fold)
        result = run_one(run, replace(SMALL, photograph_steps=2), folder, tmp_path)
        assert set(result["scores"]) == {"pose", "person", "rest"}
    assert [path.name for path in tmp_path.glob("*.png")] == ["study_swap_group.png"]
    assert [mask.sum() for mask in masks] == [10, 10]  # of 48
    assert not (masks[0] & masks[1]).any()


def test_dimensions_are_assigned_to_the_partitions_of_their_factors(faces, monkeypatch):
    model = models.make_model(Run("", "beta", "ungated", 0.1), REST, faces)
    importance = np.zeros((16, len(INTENDED)))
    importance[15 - np.arange(len(INTENDED)), np.arange(len(INTENDED))] = 1
    monkeypatch.setattr(
        models, "dci", lambda *args, **kwargs: SimpleNamespace(importance=importance)
    )
    images = torch.rand(8, 1, 32, 32)
    before = model.encoder(images).embedding.detach()
    decoded = model.decoder(before)["reconstruction"]
    models.assign_dimensions(model, faces, seed=0)
    after = model.encoder(images).embedding
    torch.testing.assert_close(model.decoder(after)["reconstruction"], decoded)
    slices = Partitions(PARTITIONS).slices
    for i, partition in enumerate(INTENDED.values()):
        assert (after[:, slices[partition]] == before[:, [15 - i]]).all(0).any()


def pair_inputs(gate):
    torch.manual_seed(0)
    data, target = torch.rand(2, 3, 1, 32, 32)
    return {"data": data, "target": target, "gate": torch.tensor([gate] * 3)}


def decoder_inputs(model, inputs):
    received = []
    model.decoder.register_forward_pre_hook(lambda _, args: received.append(args[0]))
    model._sample_gauss = lambda mu, std: (mu, std)
    model(inputs)
    return received[0].chunk(2)


def test_group_vae_averages_the_shared_dimensions(faces):
    model = models.make_model(Run("", "beta", "group", 0.1), REST, faces)
    inputs = pair_inputs([True, False, False])
    own, other = (model.encoder(inputs[key]).embedding for key in ("data", "target"))
    x, t = decoder_inputs(model, inputs)
    torch.testing.assert_close(x[:, :4], (own + other)[:, :4] / 2)
    assert torch.equal(x[:, :4], t[:, :4])
    torch.testing.assert_close(x[:, 4:], own[:, 4:])
    torch.testing.assert_close(t[:, 4:], other[:, 4:])


def test_ada_gvae_shares_the_dimensions_below_the_midpoint(faces):
    model = models.make_model(Run("", "beta", "ada", 0.1), REST, faces)
    mu = torch.zeros(2, 16)
    mu[1, [2, 5]] = torch.tensor([4.0, 0.5])
    shared = model.shared(mu, torch.zeros(2, 16), torch.ones(1, 3, dtype=torch.bool))
    expected = torch.ones(1, 16, dtype=torch.bool)
    expected[0, 2] = False  # KL 8 against a midpoint of 4
    assert torch.equal(shared, expected)


def test_match_pairing_generates_pairs_that_share_the_open_partitions(faces):
    model = models.make_model(Run("", "beta", "match", 0.1), REST, faces)
    x, t = decoder_inputs(model, pair_inputs([True, False, False]))
    assert torch.equal(x[:, :4], t[:, :4])
    assert (x[:, 4:] != t[:, 4:]).all()
    inputs = pair_inputs([False, False, True])
    x, t = decoder_inputs(model, {**inputs, "target": inputs["data"]})
    assert torch.equal(x, t)


def test_supervised_heads_ignore_unknown_labels(faces):
    model = models.make_model(Run("", "beta", "supervised", 0.1), REST, faces)
    assert set(model.heads) == {"yaw", "pitch", "smile", "mouth", "brow"}
    assert model.heads["yaw"].in_features == 4

    def loss(forward, **labels):
        torch.manual_seed(0)
        return forward({"data": images, **labels}).loss

    images = torch.rand(3, 1, 32, 32)
    plain = loss(lambda inputs: BetaVAE.forward(model, inputs))
    assert torch.equal(loss(model, labels=torch.full((3, 5), -1.0)), plain)
    assert loss(model, labels=torch.zeros(3, 5)) > plain


def test_the_trimmed_loss_leaves_out_the_largest_errors():
    config = GatedBetaVAEConfig((1, 2, 2), 2, partitions={"a": 1, "r": 1}, rest=["r"])
    model = remedies.TrimmedPairs(config, None, None)
    errors = torch.tensor([3.0, 9.0, 1.0, 2.0, 4.0, 20.0, 0.5, 5.0])
    recon_x = (errors / 2).sqrt().reshape(-1, 1, 1, 1).expand(8, 1, 2, 2)
    zeros = torch.zeros(8, 2)
    loss, recon_loss, _ = model.loss_function(recon_x, torch.zeros(8, 1, 2, 2), *[zeros] * 3)
    assert recon_loss.item() == pytest.approx(errors.mean().item())
    assert loss.item() == pytest.approx(errors[errors <= 5].mean().item())
