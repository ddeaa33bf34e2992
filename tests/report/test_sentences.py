import dataclasses

import numpy as np
import pytest

from pythae_gated import GatedBetaVAE, GatedBetaVAEConfig, Partitions
from pythae_gated.metrics import Evaluation
from pythae_gated.report import save_report
from pythae_gated.report.predictions import read_verdicts
from tests.support.page import Page
from tests.support.pixels import make_pixel_vae

SIZES = {"pose": 1, "person": 3}


class TestSentences:
    @pytest.fixture
    def leaking(self, found) -> Evaluation:
        return dataclasses.replace(
            found,
            scores={"pose": {"yaw": 0.99, "age": 0.52}, "person": {"yaw": 0.3, "age": 0.97}},
            chance={"yaw": 0.0, "age": 0.5},
            p_values={name: {"yaw": 0.005, "age": 0.005} for name in SIZES},
            leakage={"yaw": 0.5, "age": 0.05},
            leakage_of_means={"yaw": 0.77, "age": 0.06},
        )

    @pytest.fixture
    def read(self, model, data, tmp_path):
        def text(evaluation):
            path = save_report(model, *data, tmp_path, evaluation=evaluation, overwrite=True)
            return Page(path).text

        return text

    def test_what_a_partition_predicts(self, read, leaking):
        text = read(leaking)
        assert "pose predicts yaw (R² 0.99); age near chance." in text
        expected = (
            "person predicts age (accuracy 0.97, chance 0.50); weakly predicts yaw (R² 0.30)."
        )
        assert expected in text

    def test_the_best_factor_comes_first(self, read, leaking):
        scores = {"pose": {"yaw": 0.6, "age": 0.99}, "person": leaking.scores["person"]}
        text = read(dataclasses.replace(leaking, scores=scores))
        assert "pose predicts age (accuracy 0.99, chance 0.50) and yaw (R² 0.60)." in text

    def test_a_score_that_may_be_chance_is_not_a_prediction(self, read, leaking):
        p_values = {"pose": {"yaw": 0.02, "age": 0.3}, "person": leaking.p_values["person"]}
        text = read(dataclasses.replace(leaking, p_values=p_values))
        assert "pose predicts no factor much better than chance." in text
        assert "(0.99)" in text

    def test_the_verdict_has_one_sentence_per_factor(self, read, leaking):
        text = read(leaking)
        assert "Of 2 factors: 1 encoded, 1 leaks." in text
        assert (
            "leaks yaw is encoded in pose (R² 0.99), but also predicted from the other partitions "
            "(leakage 0.50). encoded age is encoded in person (accuracy 0.97, chance 0.50) and "
            "hardly elsewhere (leakage 0.05). Encoded: the score from"
        ) in text

    def test_two_that_leak_and_how_many_images_show_it(self, read, leaking):
        both = dataclasses.replace(
            leaking, leakage={"yaw": 0.5, "age": 0.2}, fitted_images=499, tested_images=166
        )
        text = read(both)
        assert "Of 2 factors: 2 leak." in text
        counts = "Measured on 166 held-out images, with estimators fitted on 499"
        assert (
            f"{counts}: so few that leakage is uncertain, and weak leakage may be missed." in text
        )
        many = dataclasses.replace(both, fitted_images=500)
        assert f"{counts.replace('499', '500')}." in read(many)

    def test_images_are_named_by_their_classes(self, model, data, found, tmp_path):
        images, factors = data
        path = save_report(model, images, factors, tmp_path, evaluation=found)
        for i, age in enumerate(np.asarray(factors["age"])[:4]):
            assert f"image {i + 1}: {age}" in Page(path).text

    def test_the_verdict_if_all_is_well(self, read, leaking):
        text = read(dataclasses.replace(leaking, leakage={"yaw": 0.0, "age": 0.05}))
        assert "Each factor is encoded in the partition assigned to it, and hardly else" in text
        assert "What to try next" not in text

    def test_the_verdict_names_what_is_not_encoded(self, read, leaking):
        weak = {name: {**scores, "yaw": 0.04} for name, scores in leaking.scores.items()}
        text = read(dataclasses.replace(leaking, scores=weak, leakage={"yaw": 0.02, "age": 0.05}))
        assert "not encoded yaw is not encoded in pose (R² 0.04). encoded age" in text
        weak["pose"]["yaw"] = 0.3
        text = read(dataclasses.replace(leaking, scores=weak, leakage={"yaw": 0.6, "age": 0.05}))
        assert "yaw is only weakly encoded in pose (R² 0.30), but predicted from the oth" in text

    def test_the_verdict_without_assigned_factors(self, read, leaking):
        none = {"intended": {}, "leakage": {}, "leakage_of_means": {}}
        text = read(dataclasses.replace(leaking, **none))
        assert "No factor was assigned to a partition (intended)" in text
        assert "yaw has no partition assigned to it; it is best predicted from pose (R²" in text
        assert "leakage" not in text
        assert "orange" not in text.replace("(orange)", "")  # of the sliders

    def test_what_needs_attention_comes_first(self, leaking):
        verdicts = read_verdicts(leaking)
        assert {name: each.light for name, each in verdicts.items()} == {
            "yaw": "leaks", "age": "encoded"
        }  # fmt: skip
        worse = {name: {**scores, "age": 0.5} for name, scores in leaking.scores.items()}
        verdicts = read_verdicts(dataclasses.replace(leaking, scores=worse))
        assert [each.light for each in verdicts.values()] == ["not encoded", "leaks"]
        assert list(verdicts) == ["age", "yaw"]
        verdicts = read_verdicts(dataclasses.replace(leaking, intended={"age": "person"}))
        assert [each.light for each in verdicts.values()] == ["not assigned", "encoded"]

    def test_leakage_of_means_stands_beside_that_of_samples(self, read, leaking):
        text = read(leaking)
        assert "leakageof means yaw" in text
        assert "0.500.77 age" in text
        assert "Of means: the same from posterior means" in text
        assert "of means" not in read(dataclasses.replace(leaking, leakage_of_means={})).lower()

    def test_a_collapsed_partition_is_marked(self, read, leaking):
        assert "Posterior collapse" not in read(leaking)
        variance = np.array([1.0, 0.01, 0.0, 0.001])
        text = read(dataclasses.replace(leaking, mean_variance=variance))
        assert text.count("Posterior collapse: the partition encodes nothing.") == 1
        assert "Lower beta, to a fifth at first: person encodes nothing" in text

    def test_all_metrics_are_listed(self, read, leaking):
        text = read(dataclasses.replace(leaking, metrics={"new_score": 0.25, "sap": None}))
        assert "new score0.25 sap-" in text


class TestAdvice:
    """Only what the numbers say."""

    @pytest.fixture
    def advise(self, data, found, tmp_path):
        def text(model, **numbers):
            evaluation = dataclasses.replace(found, **numbers)
            path = save_report(model, *data, tmp_path, evaluation=evaluation, overwrite=True)
            return Page(path).text.partition("Measured on")[2].partition("Explore")[0]

        return text

    @pytest.fixture
    def gated(self):
        return make_pixel_vae(GatedBetaVAE, GatedBetaVAEConfig, partitions=SIZES, beta=0.5)

    def scores(self, yaw, elsewhere):
        scores = {"pose": {"yaw": yaw, "age": 0.5}, "person": {"yaw": elsewhere, "age": 1.0}}
        return {"scores": scores, "p_values": {name: {"yaw": 0.0, "age": 0.0} for name in SIZES}}

    def test_a_collapsed_model(self, advise, gated):
        text = advise(gated, mean_variance=np.zeros(4), **self.scores(0.0, 0.0))
        assert "Lower beta (now 0.5), to a fifth at first: the whole model has collapsed" in text
        assert "More steps" not in text

    def test_a_factor_that_no_partition_predicts(self, advise, gated):
        lost = {"informativeness": {"yaw": 0.1, "age": 1.0}, "leakage": {"yaw": 0.0, "age": 0.0}}
        text = advise(gated, **lost, **self.scores(0.1, 0.0))
        assert "More steps, or a lower beta (now 0.5): yaw is not well predicted" in text
        assert "A larger partition: all dimensions of pose are in use" in text
        assert "None" not in text
        assert "Check the labels" not in text

    def test_a_factor_in_another_partition(self, model, advise, gated):
        moved = {**self.scores(0.1, 0.9), "leakage": {"yaw": 0.9, "age": 0.0}}
        moved["informativeness"] = {"yaw": 0.9, "age": 1.0}
        assert "Check the labels: yaw is encoded, but better predicted from" in advise(
            gated, **moved
        )
        assert "A gated model: yaw is encoded, but in other partitions" in advise(model, **moved)

    def test_leaks(self, model, advise, gated):
        leaking = {**self.scores(0.9, 0.9), "leakage": {"yaw": 0.5, "age": 0.0}}
        text = advise(gated, **leaking)
        assert "Declare the rest: every partition has labels." in text
        assert "against leakage of yaw (best predicted from person)." in text
        assert "A gated model: yaw is encoded in several" in advise(model, **leaking)
        rest = Partitions(SIZES, ["person"])
        assert "Declare the rest" not in advise(gated, **leaking, partitions=rest)

    def test_the_rest_of_the_model_counts(self, advise):
        model = make_pixel_vae(
            GatedBetaVAE, GatedBetaVAEConfig, partitions=SIZES, rest=["person"], beta=0.5
        )
        text = advise(model, **self.scores(0.9, 0.9), leakage={"yaw": 0.5, "age": 0.0})
        assert "against leakage of yaw" in text
        assert "Declare the rest" not in text
