import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import cmu_faces
import numpy as np
import pytest
import torch
from networks import ConvDecoder, ConvEncoder
from pythae.models import BetaVAE
from quickstart import INTENDED, PARTITIONS
from study_parts import groups, models, remedies, tables
from study_parts.faces import Faces, as_classes, label, load_faces, training_data
from study_parts.lines import Lines
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
from study_parts.training import fit, run_one, train_faces

from pythae_gated import GatedBetaVAEConfig, Partitions
from pythae_gated.datasets import make_faces

SCRIPT = Path(__file__).parents[2] / "examples" / "study.py"
RESULTS = SCRIPT.parent / "results"
HANGS = 900  # seconds; a tiny study takes one minute, on old machines under load several
SMALL = Settings(n_train=256, n_test=40, n_fit=256, epochs=2, batch=64)
REST = Partitions(PARTITIONS, ["identity"])


@pytest.fixture(scope="module")
def faces():
    return load_faces(SMALL)


def make_line(run, settings=TINY_SETTINGS, **found):
    told = {"informativeness": {"yaw": 0.5}, "disentanglement": 0.5, "completeness": 0.5}
    told |= {"seconds": {"train": 1800.0}}
    return {"run": asdict(run), "settings": asdict(settings), **told, **found}


def start(output, *more):
    command = [sys.executable, str(SCRIPT), "--tiny", "--output", str(output), *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE)


def read(output):
    path = output / "study.jsonl"
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.slow
def test_a_killed_study_goes_on_where_it_was(tmp_path):
    first = start(tmp_path)
    until = time.monotonic() + HANGS
    while len(read(tmp_path)) < 5 and time.monotonic() < until:
        time.sleep(0.1)
    first.send_signal(signal.SIGKILL)
    first.wait()
    first.stdout.close()
    kept = read(tmp_path)
    assert 5 <= len(kept) < 15
    with (tmp_path / "study.jsonl").open("a") as file:
        file.write('{"run": {"part": "cl')  # as if killed while it wrote

    second = start(tmp_path)
    printed, _ = second.communicate(timeout=HANGS)
    assert second.returncode == 0
    lines = read(tmp_path)
    assert lines[: len(kept)] == kept
    found = [Run(**json.loads(line)["run"]) for line in lines]
    without_photographs = replace(TINY, folds=())
    weights = choose_weights(json.loads(line) for line in lines)
    due = [*grid_runs(TINY), *main_runs(without_photographs, weights), *cost_runs(TINY, weights)]
    assert len(found) == len(set(found))
    assert set(found) == set(due)
    assert "No --photographs" in printed
    assert (tmp_path / "study.md").read_text() in printed
    for name in ("claim", "parting", "weak", "competitors"):
        assert (tmp_path / f"study_{name}.png").stat().st_size > 0

    third = start(tmp_path, "--report")
    again, _ = third.communicate(timeout=HANGS)
    assert (tmp_path / "study.md").read_text() in again
    assert read(tmp_path) == lines


def test_lines_of_other_settings_are_refused(tmp_path):
    path = tmp_path / "study.jsonl"
    path.write_text(json.dumps(make_line(Run("grid", "beta", "ungated", 0.1))) + "\n")
    assert len(Lines(path, TINY_SETTINGS).found) == 1
    with pytest.raises(SystemExit, match=r"holds runs with other settings.*name another folder"):
        Lines(path, Settings())


def test_the_plan_names_each_run_once():
    weights = {(backbone, "ungated"): 0.1 for backbone in WHOLE.backbones}
    weights |= {("beta", name): 0.1 for name in WHOLE.competitors}
    runs = [*grid_runs(WHOLE), *main_runs(WHOLE, weights), *cost_runs(WHOLE, weights)]
    assert len(runs) == len(set(runs))
    # The gated models with their own weight as the best are in the claim already.
    assert not any(run.scheme == "target" for run in runs if run.part == "competitors")
    claim = [run for run in runs if run.part == "claim"]
    assert len(claim) == 3 * 5 * 5
    grid = {(run.backbone, run.scheme, run.weight) for run in runs if run.part == "grid"}
    assert len(grid) == (3 + 6) * len(WHOLE.weights)
    assert not {run.seed for run in runs if run.part == "grid"} & set(WHOLE.seeds)


def test_weights_are_chosen_by_the_mean_of_the_three_scores():
    def scored(scheme, weight, d, i, error):
        run = Run("grid", "beta", scheme, weight)
        told = {"yaw": i, "pitch": i}
        return make_line(run, disentanglement=d, informativeness=told, reconstruction_error=error)

    lines = [
        scored("ungated", 0.1, 0.2, 0.9, 1.0),
        scored("ungated", 0.2, 0.4, 0.8, 2.0),
        scored("ungated", 0.3, 0.5, 0.6, 2.0),
        scored("ungated", 0.5, 0.9, 0.9, 2.1),  # loses too much of the images
        scored("group", 0.1, 0.9, 0.9, 3.0),
        make_line(Run("claim", "beta", "ungated", 0.7), disentanglement=1.0),
    ]
    assert choose_weights(lines) == {("beta", "ungated"): 0.2, ("beta", "group"): 0.1}


def test_labels_are_hidden_and_made_wrong_as_the_run_says():
    _, factors = make_faces(4_000, image_size=8)
    plain = label(Run("weak", "beta", "target", 0.1), factors)
    assert list(plain) == ["pose", "expression"]
    assert not any(np.isnan(values).any() for values in plain.values())
    np.testing.assert_array_equal(plain["pose"][:, 0], factors["yaw"])

    few = label(Run("weak", "beta", "target", 0.1, share=0.1), factors)
    wrong = label(Run("noisy", "beta", "target", 0.1, wrong=0.4), factors)
    for name, values in plain.items():
        known = ~np.isnan(few[name])
        assert (known == known[:, :1]).all()
        assert known[:, 0].mean() == pytest.approx(0.1, abs=0.02)
        np.testing.assert_array_equal(few[name][known], values[known])
        # Another image's label is the same by chance once in 35 or 27 times.
        differs = (wrong[name] != values).any(axis=1)
        assert differs.mean() == pytest.approx(0.4 * (1 - 1 / 30), abs=0.03)
        np.testing.assert_array_equal(np.sort(wrong[name], axis=0), np.sort(values, axis=0))

    everything = label(Run("claim", "beta", "target", 0.1, "all"), factors)
    np.testing.assert_array_equal(everything["identity"][:, 0], factors["identity"])


def test_unknown_labels_are_no_class():
    columns = np.array([[5.0, np.nan], [-1.0, 2.0], [5.0, 3.0]])
    assert as_classes(columns).tolist() == [[1, -1], [0, 0], [1, 1]]


@pytest.mark.parametrize("backbone", WHOLE.backbones)
@pytest.mark.parametrize("scheme", ["ungated", "input", "target"])
def test_each_backbone_has_its_weight(backbone, scheme, faces):
    model = models.make_model(Run("claim", backbone, scheme, 0.25), REST, faces)
    weight = {
        "beta": lambda: model.beta,
        "info": lambda: 1 - model.alpha,
        "dip": lambda: model.noise_variance,
    }[backbone]()
    assert weight == 0.25
    assert hasattr(model, "partitions") == (scheme != "ungated")


def test_dip_vae_in_units_of_noise_is_weighed_as_a_beta(faces):
    model = models.make_model(Run("claim", "dip", "ungated", 0.25), REST, faces).eval()
    images = torch.from_numpy(faces.images).float() / 255
    torch.manual_seed(0)
    output = model({"data": images})
    error = (output.recon_x - images).square().flatten(1).sum(1).mean() / 2
    assert output.recon_loss.item() == pytest.approx(error.item() / 0.25, rel=1e-5)


@pytest.mark.filterwarnings("ignore:.* share their label with no other")
@pytest.mark.parametrize("scheme", sorted({*WHOLE.competitors, *remedies.REMEDIES} - {"input"}))
def test_all_decode_as_many_images(scheme, faces, monkeypatch):
    decoded = []
    forward = ConvDecoder.forward

    def counted(self, z):
        decoded.append(len(z))
        return forward(self, z)

    monkeypatch.setattr(ConvDecoder, "forward", counted)
    model = train_faces(Run("competitors", "beta", scheme, 0.1), SMALL, faces)
    check = 1  # Pythae's, of a first batch
    assert decoded.count(64) - check == 2 * 256 // 64
    assert all(torch.isfinite(each).all() for each in model.parameters())


@pytest.mark.filterwarnings("ignore:.* share their label with no other")
@pytest.mark.parametrize("scheme", ["ungated", "target", "match"])
def test_faces_may_be_larger(scheme, tmp_path, monkeypatch):
    seen = []
    decode = ConvDecoder.forward
    monkeypatch.setattr(
        ConvDecoder, "forward", lambda *args: seen.append(decode(*args)) or seen[-1]
    )
    settings = replace(SMALL, image_size=64)
    found = run_one(Run("claim", "beta", scheme, 0.1), settings, None, tmp_path)
    assert {made["reconstruction"].shape[1:] for made in seen} == {(1, 64, 64)}
    assert found["reconstruction_error"] > 0
    assert set(found["informativeness"]) == set(INTENDED)


def test_hindsight_orders_dimensions_and_changes_nothing_else(faces):
    run = Run("", "beta", "ungated", 0.1)
    model = models.make_model(run, REST, faces)
    data = training_data(run, REST, faces)
    fit(model, data, epochs=1, batch_size=64, learning_rate=1e-3, seed=0)
    images = torch.rand(20, 1, 32, 32)
    with torch.no_grad():
        before = model.encoder(images)
        made = model.decoder(before.embedding)["reconstruction"]
        models.order_in_hindsight(model, faces, seed=0)
        after = model.encoder(images)
        again = model.decoder(after.embedding)["reconstruction"]
    torch.testing.assert_close(again, made)
    for key in ("embedding", "log_covariance"):
        torch.testing.assert_close(before[key].sort(1).values, after[key].sort(1).values)


def test_hindsight_puts_a_dimension_where_it_says_most():
    rng = np.random.default_rng(0)
    factors = {name: rng.integers(0, 5, 400).astype(float) for name in INTENDED}
    images = np.zeros((400, 1, 1, len(INTENDED)), dtype=np.uint8)
    for i, values in enumerate(factors.values()):
        images[:, 0, 0, i] = 50 * values
    model = torch.nn.Module()
    model.encoder = Copying()
    model.decoder = torch.nn.Module()
    model.decoder.layers = torch.nn.Sequential(torch.nn.Linear(16, 1))
    models.order_in_hindsight(model, Faces(images, factors, (images, factors), None), seed=0)
    holds = model.encoder.embedding.weight.argmax(1).tolist()
    used = model.encoder.embedding.weight.abs().sum(1) > 0
    slices = Partitions(PARTITIONS).slices
    for i, partition in enumerate(INTENDED.values()):
        where = [d for d in range(16) if used[d] and holds[d] == i]
        assert len(where) == 1
        assert where[0] in range(16)[slices[partition]]


class Copying(torch.nn.Module):
    """Pixel i is the mean of dimension 15 - i; the others are always 0."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Linear(len(INTENDED), 16)
        self.log_var = torch.nn.Linear(len(INTENDED), 16)
        with torch.no_grad():
            for layer in (self.embedding, self.log_var):
                layer.weight.zero_()
                layer.bias.zero_()
            self.log_var.bias.fill_(-9.0)
            for i in range(len(INTENDED)):
                self.embedding.weight[15 - i, i] = 1.0

    def forward(self, x):
        pixels = x.flatten(1)
        return {"embedding": self.embedding(pixels), "log_covariance": self.log_var(pixels)}


def pair_inputs(gate):
    torch.manual_seed(0)
    data, target = torch.rand(2, 3, 1, 32, 32)
    return {"data": data, "target": target, "gate": torch.tensor([gate] * 3)}


def seen_by_decoder(model, inputs):
    seen = []
    model.decoder.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    model._sample_gauss = lambda mu, std: (mu, std)
    model(inputs)
    return seen[0].chunk(2)


def test_group_vae_averages_what_a_pair_shares(faces):
    model = models.make_model(Run("", "beta", "group", 0.1), REST, faces)
    inputs = pair_inputs([True, False, False])
    own, other = (model.encoder(inputs[key]).embedding for key in ("data", "target"))
    x, t = seen_by_decoder(model, inputs)
    torch.testing.assert_close(x[:, :4], (own + other)[:, :4] / 2)
    assert torch.equal(x[:, :4], t[:, :4])
    torch.testing.assert_close(x[:, 4:], own[:, 4:])
    torch.testing.assert_close(t[:, 4:], other[:, 4:])


def test_ada_gvae_averages_where_posteriors_are_alike(faces):
    model = models.make_model(Run("", "beta", "ada", 0.1), REST, faces)
    mu = torch.zeros(2, 16)
    mu[1, [2, 5]] = torch.tensor([4.0, 0.5])
    shared = model.shared(mu, torch.zeros(2, 16), torch.ones(1, 3, dtype=torch.bool))
    expected = torch.ones(1, 16, dtype=torch.bool)
    expected[0, 2] = False  # KL 8 against a midpoint of 4
    assert torch.equal(shared, expected)


def test_supervised_head_reads_its_partition_alone(faces):
    run = Run("", "beta", "supervised", 0.1)
    model = models.make_model(run, REST, faces)
    assert set(model.heads) == {"yaw", "pitch", "smile", "mouth", "brow"}
    assert model.heads["yaw"].in_features == 4
    images = torch.rand(3, 1, 32, 32)
    unknown = {"data": images, "labels": torch.full((3, 5), -1.0)}
    torch.manual_seed(0)
    plain = BetaVAE.forward(model, {"data": images}).loss
    torch.manual_seed(0)
    assert torch.equal(model(unknown).loss, plain)
    torch.manual_seed(0)
    assert model({**unknown, "labels": torch.zeros(3, 5)}).loss > plain


def test_match_pairing_makes_pairs_that_share_what_the_gate_says(faces):
    model = models.make_model(Run("", "beta", "match", 0.1), REST, faces)
    x, t = seen_by_decoder(model, pair_inputs([True, False, False]))
    assert torch.equal(x[:, :4], t[:, :4])
    assert (x[:, 4:] != t[:, 4:]).all()
    inputs = pair_inputs([False, False, True])
    x, t = seen_by_decoder(model, {**inputs, "target": inputs["data"]})
    assert torch.equal(x, t)


def test_dependence_is_zero_of_a_constant_and_largest_of_a_copy():
    torch.manual_seed(0)
    x, y = torch.randn(2, 500, 3)
    apart, copied = remedies.hsic(x, y), remedies.hsic(x, x)
    assert remedies.hsic(x, torch.ones(500, 2)) == pytest.approx(0, abs=1e-7)
    assert 0 <= apart < copied / 20


def teach_guesser(model, z):
    """Let a blind rest's guesser learn these codes by heart."""
    rest, others = z[:, model.partitions.slices["rest"]], z[:, model.partitions.slices["pose"]]
    optimizer = torch.optim.Adam(model.guess.parameters(), lr=1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        (model.guess(rest) - others).square().mean().backward()
        optimizer.step()


@pytest.mark.parametrize("name", remedies.LEAKAGE_REMEDIES)
def test_a_remedy_moves_the_open_rest_alone(name, faces):
    partitions = {"pose": 2, "rest": 3}
    config = GatedBetaVAEConfig((1, 32, 32), 5, partitions=partitions, rest=["rest"])
    torch.manual_seed(0)
    networks = ConvEncoder(5), ConvDecoder(5, torch.zeros(1, 32, 32))
    model = remedies.REMEDIES[name](config, *networks)
    mu, log_var = torch.randn(6, 5, requires_grad=True), torch.randn(6, 5, requires_grad=True)
    z = mu + torch.exp(log_var / 2) * torch.randn(6, 5)
    if name == "blind rest":
        teach_guesser(model, z.detach())
    images = torch.rand(6, 1, 32, 32)
    plain = super(type(model), model).loss_function(images, images, mu, log_var, z)[0]
    extra = model.loss_function(images, images, mu, log_var, z)[0] - plain
    extra.backward()
    assert (mu.grad[:, :2] == 0).all()
    assert (mu.grad[:, 2:] != 0).any()


@pytest.mark.parametrize("scheme", ["independent rest", "blind rest"])
def test_a_remedys_own_term_can_weigh_more(scheme, faces):
    plain, heavy = (
        models.make_model(Run("", "beta", scheme, 0.1, option=option), REST, faces)
        for option in ("", "ten times the weight")
    )
    assert heavy.weight == 10 * plain.weight


def test_the_blind_rest_climbs_where_its_guesser_descends():
    partitions = {"pose": 1, "rest": 1}
    config = GatedBetaVAEConfig((1, 8, 8), 2, partitions=partitions, rest=["rest"])
    torch.manual_seed(0)
    model = remedies.BlindRest(config, None, None)
    z = torch.randn(64, 2, requires_grad=True)
    images = torch.rand(64, 1, 8, 8)
    zeros = torch.zeros(64, 2)

    def missed(rest):
        return (model.guess(rest) - z[:, :1]).square().mean().item()

    model.loss_function(images, images, zeros, zeros, z)[0].backward()
    assert missed(z[:, 1:]) > z[:, 0].var().item()
    assert (z.grad == 0).all()  # there is nothing to hide

    teach_guesser(model, z.detach())
    model.loss_function(images, images, zeros, zeros, z)[0].backward()
    assert missed(z[:, 1:] - z.grad[:, 1:]) > missed(z[:, 1:])


def gradients_of_rows(name, errors):
    """How a remedy's loss moves with each row's reconstruction, over how the plain loss does."""
    config = GatedBetaVAEConfig((1, 2, 2), 2, partitions={"a": 1, "r": 1}, rest=["r"])
    model = remedies.NOISE_REMEDIES[name](config, None, None)
    images = torch.zeros(len(errors), 1, 2, 2)
    made = (errors / 2).sqrt().reshape(-1, 1, 1, 1).expand_as(images).clone().requires_grad_()
    zeros = torch.zeros(len(errors), 2)
    loss, recon_loss, _ = model.loss_function(made, images, zeros, zeros, zeros)
    assert recon_loss.item() == pytest.approx(errors.mean().item())
    moved, plain = (
        torch.autograd.grad(each, made, retain_graph=True)[0] for each in (loss, recon_loss)
    )
    return (moved / plain)[:, 0, 0, 0]


def test_trimmed_pairs_leave_out_the_largest_errors():
    errors = torch.tensor([3.0, 9.0, 1.0, 2.0, 4.0, 20.0, 0.5, 5.0])
    share = gradients_of_rows("trimmed pairs", errors)
    torch.testing.assert_close(share, torch.where(errors > 5, 0.0, 8 / 6))


def test_weighed_pairs_weigh_less_the_larger_their_error():
    errors = torch.tensor([1.0, 2.0, 4.0, 2.0, 18.0])
    share = gradients_of_rows("weighed pairs", errors)
    torch.testing.assert_close(share / share[1], 4 / (1 + errors / 2) ** 2)
    assert share.mean().item() == pytest.approx(1)


def test_an_interval_is_students():
    mean, half = groups.interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert half == pytest.approx(4.302652 * 1.0 / 3**0.5, rel=1e-6)
    assert tables.told([0.5]) == "0.50"
    assert tables.told([1.0, 2.0, 3.0]) == "2.00 ± 2.48"


@pytest.mark.parametrize("scheme", ["ungated", "target", "group"])
def test_photographs_are_judged_in_folds(scheme, folder, tmp_path, monkeypatch):
    seen = []
    judge = cmu_faces.judge
    monkeypatch.setattr(cmu_faces, "judge", lambda *args: seen.append(args[-1]) or judge(*args))
    settings = replace(SMALL, photograph_steps=2)
    for fold in range(2):
        run = Run("photographs", "beta", scheme, 0.05, seed=fold)
        found = run_one(run, settings, folder, tmp_path)
        assert set(found["scores"]) == {"pose", "person", "rest"}
        assert all(set(told) == set(cmu_faces.FACTORS) for told in found["scores"].values())
    assert [path.name for path in tmp_path.glob("*.png")] == [f"study_swap_{scheme}.png"]
    assert [mask.sum() for mask in seen] == [10, 10]  # of 48
    assert not (seen[0] & seen[1]).any()


@pytest.mark.parametrize("scheme", WHOLE.photograph_remedies)
def test_remedies_are_tried_on_photographs(scheme, folder, tmp_path, monkeypatch):
    judged = []
    judge = cmu_faces.judge
    monkeypatch.setattr(cmu_faces, "judge", lambda *args: judged.append(args[0]) or judge(*args))
    run = Run("photograph leakage", "beta", scheme, 0.05)
    found = run_one(run, replace(SMALL, photograph_steps=2), folder, tmp_path)
    assert type(judged[0]) is remedies.REMEDIES[scheme]
    assert judged[0].partitions.rest == ("rest",)
    assert set(found["scores"]["rest"]) == set(cmu_faces.FACTORS)
    assert not list(tmp_path.glob("*.png"))  # or it would stand in for the gated model's


@pytest.mark.filterwarnings("ignore:.* share their label with no other")
def test_a_training_that_diverges_is_no_error(tmp_path):
    settings = replace(SMALL, learning_rate=1e30)
    found = run_one(Run("", "beta", "target", 0.1), settings, None, tmp_path)
    assert found["diverged"]
    assert set(found) == {"seconds", "diverged"}


def test_photographs_are_told_partition_by_partition():
    def fold(seed, told):
        chance = dict.fromkeys(tables.PHOTOGRAPHED, 0.25 + seed / 10)
        scores = {name: dict.fromkeys(chance, told + i / 10) for i, name in enumerate("ab")}
        run = Run("photographs", "beta", "target", 0.05, seed=seed)
        return make_line(run, scores=scores, chance=chance, reconstruction_error=3.0)

    written = tables.write_tables([fold(0, 0.5), fold(1, 0.5)])
    assert "| | person (0.30) | pose (0.30) | expression (0.30) | eyes (0.30) | error |" in written
    assert '| gated, `"target"`, a |' + " 0.50 ± 0.00 |" * 4 + " 3.00 ± 0.00 |" in written
    assert '| gated, `"target"`, b |' + " 0.60 ± 0.00 |" * 4 in written


def test_a_remedy_on_photographs_stands_beside_the_same_folds():
    def fold(part, scheme, seed, told):
        scores = dict.fromkeys(cmu_faces.PARTITIONS, dict.fromkeys(tables.PHOTOGRAPHED, told))
        run = Run(part, "beta", scheme, 0.05, seed=seed)
        chance = dict.fromkeys(tables.PHOTOGRAPHED, 0.25)
        return make_line(run, scores=scores, chance=chance, reconstruction_error=3.0)

    plain = [fold("photographs", "target", seed, 0.5 + seed) for seed in range(3)]
    tried = [fold("photograph leakage", "blind rest", seed, 0.25) for seed in range(2)]
    written = tables.write_tables([*plain, *tried])
    table = written[written.index("**Photographs, against the leakage** (2 runs each)") :]
    assert '| gated, `"target"` |' + " 1.00 ± 6.35 |" * 5 + " 3.00 ± 0.00 |" in table
    assert "| blind rest |" + " 0.25 ± 0.00 |" * 5 + " 3.00 ± 0.00 |" in table


def test_minutes_are_told_by_their_median():
    lines = [
        make_line(
            Run("claim", "beta", "target", 0.1, seed=seed),
            alignment={"yaw": 1.0},
            leakage={"yaw": 0.0},
            reconstruction_error=2.0,
            scores={name: dict.fromkeys(INTENDED, 0.5) for name in PARTITIONS},
            seconds={"train": 60.0 * minutes},
        )
        for seed, minutes in enumerate((1, 2, 9))
    ]
    assert "| minutes (median) |" in tables.write_tables(lines)
    assert " 2.00 ± 0.00 | 2.00 |\n" in tables.write_tables(lines)


def test_a_training_that_diverged_is_said_and_never_chosen():
    sound, lost = (Run("grid", "beta", "match", weight) for weight in (0.1, 0.2))
    lines = [make_line(sound, reconstruction_error=2.0), make_line(lost, diverged=True)]
    assert choose_weights(lines) == {("beta", "match"): 0.1}
    written = tables.write_tables(lines)
    assert "| match pairing, 0.1 | 0.50 | 0.50 | 0.50 | 2.00 | 0.50 |" in written
    assert "\n\n2 runs, whose training took 1.0 hours of one core.\n\n" in written
    assert written.endswith(f"Diverged: {lost}\n")


@pytest.mark.skipif(not (RESULTS / "study.md").exists(), reason="no study is committed yet")
def test_the_readme_shows_what_the_committed_lines_say():
    lines = Lines(RESULTS / "study.jsonl", Settings())
    written = tables.write_tables(lines.found)
    assert (RESULTS / "study.md").read_text() == written
    readme = (SCRIPT.parents[1] / "README.md").read_text()
    for part in written.strip().split("\n\n"):
        assert part in readme, part.splitlines()[0]
