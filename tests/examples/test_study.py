import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, replace
from types import SimpleNamespace

import numpy as np
import pytest
import study
import torch
from pythae.models import BetaVAE
from study_parts import data as data_sets
from study_parts import groups, models, tables
from study_parts.data import DataSet, Part, Sources, label, load
from study_parts.lines import Lines
from study_parts.readings import READINGS
from study_parts.run_one import as_classes, fit, run_one
from study_parts.runs import (
    COMPETITORS,
    GRID_SEED,
    TINY,
    TINY_SETTINGS,
    WHOLE,
    Run,
    Settings,
    choose_multiples,
    competitor_runs,
    grid_runs,
    lower_grid_runs,
    main_runs,
)

from pythae_gated import Partitions
from pythae_gated.callbacks import GatedSchedule
from pythae_gated.networks import ConvDecoder
from tests.support.quick_metrics import use_quick_metrics

SMALL = Settings(steps=4, images=64, epochs=2, n_faces=400, n_fit=256)
SIZES = {"pose": 4, "expression": 6, "rest": 6}
PARTITIONS = Partitions(SIZES, ["rest"])
UNIQUE_LABELS = "ignore:.* share their label with no other"
NOWHERE = Sources()


@pytest.fixture(scope="module")
def faces():
    return load("faces", NOWHERE, SMALL.n_faces)


def make(scheme, faces, backbone="beta", beta=0.1):
    labels = label(faces, faces.all, np.random.default_rng(0), 1.0, 0.0)
    classes = {name: as_classes(values) for name, values in labels.items()}
    mean = torch.from_numpy(faces.all.images.mean(0))
    return models.make_model(scheme, backbone, beta, PARTITIONS, mean, classes, seed=0)


def make_line(run, settings=TINY_SETTINGS, **result):
    scores = {"own": {"a": 0.9}, "rest": {"a": 0.3}}
    given = {
        "D": 0.5, "C": 0.5, "I": 0.5, "leakage": {"a": 0.1}, "leakage of means": {"a": 0.2},
        "error": 1.0, "sample": scores, "mean": scores, "chance": {"a": 0.1}, "seconds": 60.0,
        "intended": {"a": "own"},
    }  # fmt: skip
    return {"run": asdict(run), "settings": asdict(settings), **given, **result}


def test_the_documents_show_the_tables_of_the_committed_results():
    results = Lines(study.RESULTS / "study.jsonl", Settings()).results
    expected = tables.make_tables(results)
    documents = [path.read_text() for path in study.DOCUMENTS]
    for text in documents:
        assert tables.fill_tables(text, expected) == text, "run study.py --report"
    for name, table in expected.items():
        assert f"<!-- table: {name} -->\n{table}\n" in "".join(documents), name


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


def test_scores_are_those_of_the_own_partition_and_the_worst_of_others():
    scores = {"a": {"x": 0.9, "y": 0.2}, "b": {"x": 0.3, "y": 0.8}, "rest": {"x": 0.4, "y": 0.1}}
    line = {"intended": {"x": "a", "y": "b"}, "sample": scores, "chance": {"x": 0.1, "y": 0.0}}
    other = {**line, "sample": {**scores, "a": {"x": 0.7, "y": 0.2}}}
    places = {place: groups.factors_at([line, other], place) for place in ("own", "elsewhere")}
    assert places["own"] == pytest.approx({"x": 0.8, "y": 0.8})
    assert places["elsewhere"] == pytest.approx({"x": 0.4, "y": 0.2})
    assert groups.factors_at([line], "other") == {"x": 0.3, "y": 0.2}
    assert groups.factors_at([line], "rest") == {"x": 0.4, "y": 0.1}
    assert groups.factors_at([line], "chance") == line["chance"]
    alone = {**line, "intended": {"x": "a"}}
    assert np.isnan(groups.factors_at([alone], "other")["x"])


def test_errors_are_compared_seed_by_seed():
    def lines(*errors):
        return [{"run": {"seed": seed}, "error": error} for seed, error in enumerate(errors)]

    assert groups.relative_error(lines(2.0, 6.0, 9.0), lines(1.0, 2.0)) == 2.5
    assert np.isnan(groups.relative_error(lines(2.0), []))


def test_gains_are_differences_of_models_of_one_seed():
    lines = [
        make_line(Run("main", "faces", scheme, seed=seed), D=d, active=units)
        for scheme, seed, d, units in [
            ("ungated", 0, 0.2, 9), ("gated", 0, 0.6, 12), ("ungated", 1, 0.4, 8),
            ("gated", 1, 0.8, 12), ("gated", 2, 0.1, 12),
        ]
    ]  # fmt: skip
    _, _, row = tables.gain_table(groups.group(lines)).splitlines()
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:2] == ["beta-VAE", "0.40 ± 0.00"]
    assert cells[-2:] == ["8.50 ± 6.35", "12.00 ± 0.00"]


@pytest.mark.parametrize(
    ("part", "change", "table", "shown"),
    [
        ("labels", {"wrong": 0.2}, tables.label_table, ["0.25", "0.80"]),
        ("steps", {"steps": 0.5}, tables.step_table, ["0.80", "0.25"]),
        ("options", {"scheme": "no hsic"}, tables.options_table, ["0.25", "0.80"]),
    ],
)
def test_tables_compare_models_of_the_same_seeds(part, change, table, shown):
    """The main part has more seeds than the others."""
    run = Run("main", "digits", "gated")
    own = {"sample": {"own": {"a": 0.8}, "rest": {"a": 0.1}}}
    lines = [make_line(replace(run, part=part, seed=seed, **change), **own) for seed in (0, 1)]
    for seed, score in enumerate((0.2, 0.3, 0.9)):
        scores = {"own": {"a": score}, "rest": {"a": 0.1}}
        lines.append(make_line(replace(run, seed=seed), sample=scores))
    _, _, *rows = table(groups.group(lines)).splitlines()
    assert [next(cell for cell in row.split(" | ") if cell in shown) for row in rows] == shown


def test_a_torn_last_line_is_removed_and_its_run_repeated(tmp_path, monkeypatch):
    first, *others = main_runs(TINY)
    path = tmp_path / "study.jsonl"
    complete = json.dumps(make_line(first)) + "\n"
    path.write_text(complete + '{"run": {"part": "gr')
    lines = Lines(path, TINY_SETTINGS)
    assert path.read_text() == complete
    assert lines.done() == {first}

    executed = []

    def run_all(todo, lines, sources):
        executed.extend(todo)
        for run in todo:
            lines.add(run, make_line(run))

    monkeypatch.setattr(study, "run_all", run_all)
    study.study(lines, TINY, NOWHERE)
    assert first not in executed
    assert set(others) <= set(executed)
    assert len(executed) == len(set(executed))
    assert Lines(path, TINY_SETTINGS).done() == {first, *executed}


def test_runs_can_be_chosen_and_data_sets_left_out(tmp_path, monkeypatch):
    executed = []
    monkeypatch.setattr(study, "run_all", lambda todo, *_: executed.extend(todo))
    lines = Lines(tmp_path / "study.jsonl", Settings())
    chosen = {"part": ["main", "grid"], "data": None, "seed": [1, 100]}
    study.study(lines, WHOLE, Sources(speech=tmp_path / "speech.npz"), chosen)
    assert {run.data for run in executed} == {"faces", "digits", "speech"}
    assert {(run.part, run.seed) for run in executed} == {("main", 1), ("grid", 100)}


def test_results_with_other_settings_are_refused(tmp_path):
    path = tmp_path / "study.jsonl"
    path.write_text(json.dumps(make_line(Run("grid", "faces", "ungated"))) + "\n")
    with pytest.raises(SystemExit, match=r"contains runs with other settings.*another folder"):
        Lines(path, Settings())


@pytest.mark.slow
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
    expected = [*main_runs(TINY), *grid_runs(TINY)]
    expected += competitor_runs(TINY, choose_multiples(results))
    assert sorted(str(Run(**result["run"])) for result in results) == sorted(map(str, expected))
    assert len(list(tmp_path.glob("study_*.png"))) == 5


def test_the_plan_contains_each_run_once():
    multiples = {("faces", name): 0.2 for name in COMPETITORS}
    runs = [*main_runs(WHOLE), *grid_runs(WHOLE), *competitor_runs(WHOLE, multiples)]
    assert len(runs) == len(set(runs))
    count = Counter(run.part for run in runs)
    assert count["main"] == (5 + 2) * (2 * 5 + 2 * 3) + 5 * 2
    assert (count["input"], count["large"]) == (5 * 3, 3 * 2)
    assert count["options"] == (6 * 7 + 3 + 2 + 6) * 3
    assert count["steps"] == 3 * 2 * 4 * 3
    assert not {run.seed for run in runs if run.part == "grid"} & set(WHOLE.seeds)


def test_weights_are_chosen_by_the_mean_of_the_three_scores():
    def scored(scheme, multiple, d, i, error):
        run = Run("grid", "faces", scheme, multiple=multiple)
        return make_line(run, D=d, I=i, error=error)

    lines = [
        scored("lord", 0.1, 0.2, 0.9, 1.0),
        scored("lord", 0.2, 0.4, 0.8, 2.0),
        scored("lord", 0.3, 0.5, 0.6, 2.0),
        scored("lord", 0.5, 0.9, 0.9, 2.1),  # error above twice the lowest
        scored("group", 0.1, 0.9, 0.9, 3.0),
        make_line(Run("main", "faces", "lord", multiple=0.7), D=1.0),
        make_line(Run("grid", "faces", "group", multiple=0.2), diverged=True),
    ]
    assert choose_multiples(lines) == {("faces", "lord"): 0.2, ("faces", "group"): 0.1}


def test_lower_weights_are_tried_where_the_lowest_is_best():
    multiples = {("faces", "lord"): 0.2, ("faces", "group"): 0.5, ("speech", "group"): 0.2}
    runs = list(lower_grid_runs(WHOLE, multiples))
    assert [(run.data, run.scheme, run.multiple) for run in runs] == [
        ("faces", "lord", 0.1), ("speech", "group", 0.1)
    ]  # fmt: skip
    assert {(run.part, run.seed) for run in runs} == {("grid", GRID_SEED)}
    assert not list(lower_grid_runs(TINY, multiples))


def test_labels_are_removed_and_replaced_at_the_given_rates():
    faces = load("faces", NOWHERE, 4_000)

    def draw(share, wrong):
        return label(faces, faces.all, np.random.default_rng(0), share, wrong)

    plain, few, wrong = draw(1.0, 0.0), draw(0.1, 0.0), draw(1.0, 0.4)
    assert list(plain) == ["pose", "expression"]
    for name, values in plain.items():
        known = ~few[name].mask
        assert (known == known[:, :1]).all()
        assert known[:, 0].mean() == pytest.approx(0.1, abs=0.02)
        np.testing.assert_array_equal(few[name].data[known], values.data[known])
        # One in about 30 other images has the same label.
        differs = (wrong[name].data != values.data).any(axis=1)
        assert differs.mean() == pytest.approx(0.4 * (1 - 1 / 30), abs=0.03)
        same = (np.sort(each.data, axis=0) for each in (wrong[name], values))
        np.testing.assert_array_equal(*same)


def test_mnist_is_read_and_padded(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    digit = np.array([7, 2, 1, 0, 4], dtype=np.uint8)
    for name, head, values in (("images-idx3", 16, pixels), ("labels-idx1", 8, digit)):
        with gzip.open(tmp_path / f"t10k-{name}-ubyte.gz", "w") as file:
            file.write(bytes(head) + values.tobytes())
    found = load(data_sets.MNIST, Sources(mnist=tmp_path))
    assert found.all.images.shape == (5, 1, 32, 32)
    np.testing.assert_array_equal(found.all.images[:, 0, 2:30, 2:30] * 255, pixels)
    assert found.all.images.sum() * 255 == pytest.approx(pixels.sum())
    assert found.all.factors["digit"].tolist() == digit.tolist()


def test_letters_vary_in_font_size_and_position():
    found = data_sets.make_letters(300)
    assert found.images.shape == (300, 1, 32, 32)
    assert 0 <= found.images.min() < found.images.max() <= 1
    assert {name: len(np.unique(found.factors[name])) for name in ("letter", "font")} == {
        "letter": 26,
        "font": len(data_sets.FONTS),
    }
    weights = found.images[:, 0] / found.images.sum((1, 2, 3))[:, None, None]
    places = np.arange(32) - 15.5
    for axis, sign, along in (("x", 1, 1), ("y", -1, 2)):  # rows are counted from the top
        centre = sign * (weights.sum(along) @ places)
        assert np.corrcoef(centre, found.factors[axis])[0, 1] > 0.8
    again = data_sets.make_letters(300)
    np.testing.assert_array_equal(again.images, found.images)


def test_large_faces_have_the_colour_of_their_person():
    faces = load(data_sets.LARGE, NOWHERE, 60).all
    assert faces.images.shape == (60, 3, 64, 64)
    assert faces.images.dtype == np.float32
    assert faces.images.min() >= 0
    assert (faces.images.max(axis=(2, 3)) == 1).all()  # the background remains white
    ink = (1 - faces.images).mean(axis=(2, 3))
    share = (ink / ink.sum(axis=1, keepdims=True)).round(4)
    identity = faces.factors["identity"]
    for one in np.unique(identity):
        assert len(np.unique(share[identity == one], axis=0)) == 1
    assert len(np.unique(share, axis=0)) == len(np.unique(identity))


def test_groups_and_one_unseen_value_are_held_out_as_a_whole():
    rng = np.random.default_rng(0)
    animal, speaker = np.repeat(np.arange(50), 4), rng.integers(0, 3, 50).repeat(4)
    images = np.arange(200, dtype=np.float32)[:, None]
    part = Part(images, {"animal": animal, "speaker": speaker})
    data = DataSet(part, {}, {"rest": 2}, groups=animal, unseen="speaker")
    training, test, unseen = data.split(seed=4)
    assert set(unseen.factors["speaker"]) == {1}
    assert 1 not in set(test.factors["speaker"]) | set(training.factors["speaker"])
    assert not set(training.factors["animal"]) & set(test.factors["animal"])
    both = len(test.images) + len(training.images)
    assert both + len(unseen.images) == 200
    assert len(test.images) == pytest.approx(both / 5, abs=4)
    np.testing.assert_array_equal(animal[test.images[:, 0].astype(int)], test.factors["animal"])


def test_photographs_speech_and_proteins_are_read(folder, tmp_path):
    images = np.zeros((12, 1, 32, 32), np.uint8)
    six = np.arange(12) % 6
    np.savez(tmp_path / "speech.npz", images=images, f_digit=six % 2, f_speaker=six)
    table = np.zeros((12, 7), np.float32)
    np.savez(
        tmp_path / "mice.npz", images=table, f_genotype=six % 2, f_behavior=six % 3, f_mouse=six
    )
    sources = Sources(folder, tmp_path / "speech.npz", tmp_path / "mice.npz")
    shapes = {"photographs": (1, 32, 32), "digits": (1, 8, 8), "speech": (1, 32, 32), "mice": (7,)}
    for name, shape in shapes.items():
        found = load(name, sources)
        assert found.all.images.shape[1:] == shape
        assert found.all.images.dtype == np.float32
        assert set(found.sizes) == {*found.labelled, "rest"}
        assert found.intended.keys() <= found.all.factors.keys()
    assert not NOWHERE.has("speech")
    assert NOWHERE.has("faces")
    assert sources.has("photographs")
    assert NOWHERE.has(data_sets.LETTERS)
    assert set(shapes) | {"faces"} == set(data_sets.NAMES)


def test_photographs_are_held_out_in_five_folds():
    images = np.arange(23, dtype=np.float32).reshape(23, 1, 1, 1)
    data = DataSet(Part(images, {"pose": np.arange(23) % 4}), {"pose": ("pose",)}, {}, folds=True)
    parts = [data.split(seed) for seed in range(10)]
    for training, test, unseen in parts:
        both = np.concatenate([training.images, test.images]).ravel()
        assert sorted(both) == list(range(23))
        assert len(test.images) in (4, 5)
        assert len(unseen.images) == 0
    folds = [test.images.ravel() for _, test, _ in parts]
    for partition in (folds[:5], folds[5:]):
        assert sorted(np.concatenate(partition)) == list(range(23))
    assert set(folds[0]) != set(folds[5])  # seeds from 5 on have another partition


@pytest.mark.parametrize("backbone", WHOLE.backbones)
@pytest.mark.parametrize("scheme", ["ungated", "0.1", "gated"])
def test_each_backbone_has_the_weight_of_its_run(backbone, scheme, faces):
    model = make(scheme, faces, backbone, beta=0.25)
    weight = {
        "beta": lambda: model.beta,
        "info": lambda: 1 - model.alpha,
        "dip": lambda: model.noise_variance,
    }[backbone]()
    assert weight == 0.25
    assert hasattr(model, "partitions") == (scheme != "ungated")
    if scheme == "0.1":
        assert model.model_config.agreement == 0


def test_dip_vae_divides_its_error_by_the_noise_variance(faces):
    model = make("ungated", faces, "dip", beta=0.25).eval()
    images = torch.from_numpy(faces.all.images)
    output = model({"data": images})
    error = (output.recon_x - images).square().flatten(1).sum(1).mean() / 2
    assert output.recon_loss.item() == pytest.approx(error.item() / 0.25, rel=1e-5)


@pytest.mark.filterwarnings(UNIQUE_LABELS)
@pytest.mark.parametrize(
    "scheme", ["gated", "schedule", "group", "supervised", "lord", "free closed codes"]
)
def test_all_models_decode_the_same_number_of_images(scheme, faces, monkeypatch):
    decoded = []
    forward = ConvDecoder.forward

    def counted(self, z):
        decoded.append(len(z))
        return forward(self, z)

    monkeypatch.setattr(ConvDecoder, "forward", counted)
    monkeypatch.setattr("study_parts.run_one.SCHEDULED", ())  # no last phase of plain images
    run = Run("main", "faces", scheme)
    model = fit(run, SMALL, faces, faces.all)
    sanity_checks = 2 if scheme == "lord" else 1  # of Pythae, on a first batch
    assert decoded.count(64) - sanity_checks == SMALL.steps
    assert all(torch.isfinite(each).all() for each in model.parameters())


@pytest.mark.parametrize("backbone", WHOLE.backbones)
def test_ungated_models_with_the_schedule_differ_in_nothing_else(backbone, faces, monkeypatch):
    ungated, scheduled = (make(scheme, faces, backbone) for scheme in ("ungated", "schedule"))
    images = torch.from_numpy(faces.all.images[:64])
    losses = []
    for model in (ungated, scheduled):
        torch.manual_seed(0)
        losses.append(model({"data": images}).loss.item())
    assert losses[0] == losses[1]
    trained = {}
    monkeypatch.setattr("study_parts.run_one.train", lambda *args, **named: trained.update(named))
    for scheme, expected in (("ungated", []), ("schedule", [GatedSchedule])):
        fit(Run("main", "faces", scheme, backbone), SMALL, faces, faces.all)
        assert [type(each) for each in trained["callbacks"]] == expected


@pytest.mark.filterwarnings(UNIQUE_LABELS)
def test_a_diverged_training_is_recorded(tmp_path):
    settings = replace(SMALL, learning_rate=1e30)
    result = run_one(Run("main", "faces", "0.1"), settings, NOWHERE, tmp_path)
    assert result["diverged"]
    assert set(result) == {"seconds", "diverged"}


def test_digits_of_an_unseen_speaker_are_scored(tmp_path, monkeypatch):
    use_quick_metrics(monkeypatch)
    rng = np.random.default_rng(0)
    digit, speaker = (np.arange(360) % n for n in (5, 6))
    images = rng.integers(0, 256, (360, 1, 32, 32), dtype=np.uint8)
    np.savez(tmp_path / "speech.npz", images=images, f_digit=digit, f_speaker=speaker)
    run = Run("main", "speech", "gated", seed=0)
    result = run_one(run, SMALL, Sources(speech=tmp_path / "speech.npz"), tmp_path)
    assert set(result["unseen"]) == {"digit"}
    assert set(result["sample"]) == {"digit", "speaker", "rest"}
    assert (tmp_path / "study_swap_speech.png").exists()


def test_dimensions_are_assigned_to_the_partitions_of_their_factors(faces, monkeypatch):
    model = make("ungated", faces)
    intended = faces.intended
    importance = np.zeros((16, len(intended)))
    importance[15 - np.arange(len(intended)), np.arange(len(intended))] = 1
    monkeypatch.setattr(
        models, "dci", lambda *args, **kwargs: SimpleNamespace(importance=importance)
    )
    images = torch.rand(8, 1, 32, 32)
    before = model.encoder(images).embedding.detach()
    decoded = model.decoder(before)["reconstruction"]
    models.assign_dimensions(model, faces.all, PARTITIONS, intended, seed=0)
    after = model.encoder(images).embedding
    torch.testing.assert_close(model.decoder(after)["reconstruction"], decoded)
    for i, partition in enumerate(intended.values()):
        own = PARTITIONS.slices[partition]
        assert (after[:, own] == before[:, [15 - i]]).all(0).any()


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
    model = make("group", faces)
    inputs = pair_inputs([True, False, False])
    own, other = (model.encoder(inputs[key]).embedding for key in ("data", "target"))
    x, t = decoder_inputs(model, inputs)
    torch.testing.assert_close(x[:, :4], (own + other)[:, :4] / 2)
    assert torch.equal(x[:, :4], t[:, :4])
    torch.testing.assert_close(x[:, 4:], own[:, 4:])
    torch.testing.assert_close(t[:, 4:], other[:, 4:])


def test_ada_gvae_shares_the_dimensions_below_the_midpoint(faces):
    model = make("ada", faces)
    mu = torch.zeros(2, 16)
    mu[1, [2, 5]] = torch.tensor([4.0, 0.5])
    shared = model.shared(mu, torch.zeros(2, 16), torch.ones(1, 3, dtype=torch.bool))
    expected = torch.ones(1, 16, dtype=torch.bool)
    expected[0, 2] = False  # KL 8 against a midpoint of 4
    assert torch.equal(shared, expected)


def test_supervised_heads_ignore_unknown_labels(faces):
    model = make("supervised", faces)
    assert len(model.heads) == 5
    assert [head.in_features for head in model.heads.values()] == [4, 4, 6, 6, 6]

    def loss(forward, **labels):
        torch.manual_seed(0)
        return forward({"data": images, **labels}).loss

    images = torch.rand(3, 1, 32, 32)
    plain = loss(lambda inputs: BetaVAE.forward(model, inputs))
    assert torch.equal(loss(model, labels=torch.full((3, 5), -1.0)), plain)
    assert loss(model, labels=torch.zeros(3, 5)) > plain


def test_lord_shares_the_codes_of_labels_and_predicts_them_at_last(faces):
    model = make("lord", faces)
    items = torch.tensor([0, 1, 2])
    inputs = {"data": torch.from_numpy(faces.all.images[:3]), "labels": items}
    model(inputs).loss.backward()
    pose = model.tables["pose"].weight
    assert len(pose) == len(np.unique(model.class_pose))
    assert model.class_pose.shape == (400,)
    touched = pose.grad.abs().sum(1).nonzero()[:, 0]
    assert set(touched.tolist()) == set(model.class_pose[items].tolist())
    assert model.tables["rest"].weight.grad[3:].abs().sum() == 0
    assert all(each.grad is None for each in model.encoder.parameters())

    log_var = model.encoder(inputs["data"])["log_covariance"]
    assert (log_var[:, PARTITIONS.slices["rest"]] == 0).all()
    assert (log_var[:, :10] == model.log_var_of_labels).all()
    model.zero_grad()
    model.amortising = True
    model(inputs).loss.backward()
    assert model.tables["rest"].weight.grad is None
    assert model.encoder.embedding.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("reading", READINGS)
def test_readings_gate_the_encoder_and_decode_plain_images_as_before(reading, faces):
    model = make(reading, faces)
    inputs = pair_inputs([True, False, False])
    model(inputs).loss.backward()
    rows = model.encoder.embedding.weight.grad
    assert rows[:4].abs().sum() > 0
    assert rows[4:].abs().sum() == 0
    model.eval()
    torch.manual_seed(0)
    found = model({"data": inputs["data"]}).loss
    torch.manual_seed(0)
    assert torch.equal(found, BetaVAE.forward(model, {"data": inputs["data"]}).loss)


def test_readings_train_the_decoder_as_they_say(faces):
    model = make("self-pair decoder", faces)
    inputs = pair_inputs([True, False, False])
    model(inputs).loss.backward()
    assert all(each.grad is None for each in model.decoder.parameters())
    own = {**inputs, "target": inputs["data"]}
    model(own).loss.backward()
    assert all(each.grad is not None for each in model.decoder.parameters())

    model = make("gated decoder weights", faces)
    model(inputs).loss.backward()
    weight = model.decoder.layers[0].weight.grad
    assert weight[:, :4].abs().sum() > 0
    assert weight[:, 4:].abs().sum() == 0

    model = make("free closed codes", faces)
    received = []
    model.decoder.layers[0].register_forward_pre_hook(lambda _, args: received.append(args[0]))
    model._sample_gauss = lambda mu, std: (mu, std)
    model(inputs)
    own = model.encoder(inputs["data"])["embedding"]
    torch.testing.assert_close(received[0][:, :4], own[:, :4])
    assert (received[0][:, 4:] != own[:, 4:]).all()

    model = make("alternating phases", faces).train()
    model.length, ungated = 1, []
    for _ in range(4):
        model.zero_grad()
        model(inputs).loss.backward()
        ungated.append(bool(model.encoder.embedding.weight.grad[4:].abs().sum() > 0))
    assert ungated == [True, False, True, False]
