import numpy as np
import pandas as pd
import pytest

from pythae_gated.errors import PartitionError
from pythae_gated.metrics import leakage, partition_scores, partition_share
from pythae_gated.metrics.factors import Factor
from pythae_gated.metrics.forests import p_value
from pythae_gated.partitions import Partitions

PARTITIONS = Partitions({"pose": 2, "person": 1, "rest": 1}, rest=["rest"])


def test_shares_sum_to_one_or_are_zero():
    importance = np.array([[0.2, 0, 0], [0.3, 0, 0], [0.5, 1, 0], [0, 0, 0]])
    share = partition_share(importance, PARTITIONS)
    assert share.tolist() == [[0.5, 0, 0], [0.5, 1, 0], [0, 0, 0]]


def test_each_factor_is_predicted_from_its_own_partition_only():
    rng = np.random.default_rng(0)
    yaw, person = rng.uniform(size=1500), rng.integers(0, 5, 1500)
    noise = rng.normal(size=1500)
    codes = np.stack([noise[::-1], yaw, person, noise], axis=1)
    found = partition_scores(codes, {"yaw": yaw, "person": person}, PARTITIONS)
    assert found.scores.shape == (3, 2)
    assert found.scores[0, 0] > 0.98
    assert found.scores[1, 1] == 1
    assert found.scores[[1, 2], 0].max() < 0.05
    assert found.scores[[0, 2], 1].max() < 0.3
    assert found.chance == pytest.approx([0, 0.2], abs=0.07)


def test_a_copy_that_importance_overlooks_is_found():
    person = np.random.default_rng(0).integers(0, 5, 500)
    codes = np.stack([person, person], axis=1)
    found = partition_scores(codes, {"person": person}, Partitions({"pose": 1, "rest": 1}))
    assert (found.scores == 1).all()


def test_partitions_that_do_not_fit_are_named():
    with pytest.raises(PartitionError, match="sum to 4; the codes have 3"):
        partition_scores(np.zeros((8, 3)), {"yaw": np.arange(8.0)}, PARTITIONS)
    with pytest.raises(PartitionError, match="sum to 4; the codes have 3"):
        partition_share(np.zeros((3, 2)), PARTITIONS)


def make_codes(n, seed=0):
    rng = np.random.default_rng(seed)
    yaw, person = rng.uniform(size=n), rng.integers(0, 5, n)
    noise = rng.normal(size=(2, n))
    return np.stack([noise[0], yaw, person, noise[1]], axis=1), {"yaw": yaw, "person": person}


class TestPermutations:
    def test_what_is_told_is_above_chance_and_noise_is_not(self):
        found = partition_scores(*make_codes(600), PARTITIONS, permutations=99)
        assert found.p_values[0, 0] == found.p_values[1, 1] == 1 / 100
        assert found.p_values[[1, 2], 0].min() > 0.05
        assert found.p_values[[0, 2], 1].min() > 0.05

    def test_p_values_of_random_predictions_are_uniform(self):
        """About a tenth of them is at most a tenth: 400 trials, bounds of three deviations."""
        rng = np.random.default_rng(0)
        known = np.ones(40, dtype=bool)
        p_values = [
            p_value(
                rng.integers(0, 2, 40),
                Factor("label", rng.integers(0, 2, 40), known, discrete=True),
                permutations=19,
                draws=1,
                rng=rng,
            )
            for _ in range(400)
        ]
        # Ties among 40 rows make the test conservative.
        assert 0.02 <= np.mean(np.array(p_values) <= 0.1) <= 0.145
        assert 0.5 < np.mean(p_values) < 0.65

    def test_draws_of_one_item_are_shuffled_together(self):
        """Fifty draws of eight items are no four hundred items: chance alone fits them well."""
        rng = np.random.default_rng(0)
        fit_codes, fit_labels = rng.normal(size=(100, 1)), rng.integers(0, 2, 100)
        items, labels = rng.normal(size=(8, 1)), rng.integers(0, 2, 8)
        test = np.tile(items, (50, 1)), {"label": np.tile(labels, 50)}
        only = Partitions({"all": 1})
        given = fit_codes, {"label": fit_labels}, only
        with pytest.warns(UserWarning, match="'label' has one class in 88% of the rows"):
            together = partition_scores(*given, test=test, draws=50).p_values
        single = partition_scores(*given, test=(items, {"label": labels})).p_values
        assert together == single

    def test_labels_of_groups_are_shuffled_by_group(self):
        """Four mice of 25 images each: a sixth of the permutations of genotypes are as good."""
        genotype = np.repeat([0, 0, 1, 1], 25)
        factor = Factor("genotype", genotype, np.ones(100, dtype=bool), discrete=True)

        def p_of(groups):
            rng = np.random.default_rng(0)
            return p_value(genotype, factor, 999, draws=1, rng=rng, groups=groups)

        assert p_of(np.repeat(np.arange(4), 25)) == pytest.approx(1 / 6, abs=0.04)
        assert p_of(None) == p_of(np.tile(np.arange(4), 25)) == 1 / 1000

    def test_a_label_that_deviates_in_its_group_changes_nothing(self):
        genotype = np.repeat([0, 0, 1, 1], 25)
        groups, known = np.repeat(np.arange(4), 25), np.ones(100, dtype=bool)
        wrong = genotype.copy()
        wrong[3] = 1

        def p_of(labels):
            factor = Factor("genotype", labels, known, discrete=True)
            return p_value(genotype, factor, 999, 1, np.random.default_rng(0), groups)

        assert p_of(wrong) == p_of(genotype) == pytest.approx(1 / 6, abs=0.04)

    def test_groups_with_draws_and_unknown_labels(self):
        codes = np.random.default_rng(0).normal(size=(100, 1))
        labels = np.repeat([0.0, 1.0, 0.0, 1.0], 25)
        codes[:, 0] += 9 * labels
        labels[::5] = np.nan
        test = np.tile(codes, (2, 1)), {"genotype": np.tile(labels, 2)}
        found = partition_scores(
            codes, {"genotype": labels}, Partitions({"all": 1}), test=test, draws=2,
            groups=np.tile(np.repeat(list("abcd"), 25), 2), discrete=["genotype"],
        )  # fmt: skip
        assert found.scores[0, 0] == 1
        assert found.p_values[0, 0] == pytest.approx(1 / 6, abs=0.08)

    def test_groups_in_the_order_of_the_rows_to_test(self):
        codes, factors = make_codes(40)
        table, groups = pd.DataFrame(codes), pd.Series(np.arange(40) // 4)
        given = table, factors, PARTITIONS
        partition_scores(*given, test=(table, factors), groups=groups)
        with pytest.raises(ValueError, match="labels of 'groups' have the index of the data in "):
            partition_scores(*given, test=(table, factors), groups=groups[::-1])

    def test_unknown_labels_are_left_out(self):
        codes, factors = make_codes(600)
        factors["yaw"][::3] = np.nan
        found = partition_scores(codes, factors, PARTITIONS, permutations=99)
        assert found.p_values[0, 0] == 1 / 100

    @pytest.mark.parametrize(
        ("arguments", "match"),
        [
            ({"permutations": 0}, "permutations=0"),
            ({"draws": 0}, "draws=0"),
            ({"draws": 2}, "draws=2 for 10 held-out rows.*given as test"),
            ({"draws": 3, "test": make_codes(40)}, "draws=3 for 40"),
            ({"groups": range(40), "test": make_codes(20)}, "40 groups for 20 rows to test"),
            ({"groups": ["a", None] * 10, "test": make_codes(20)}, "as many, none missing"),
        ],
    )
    def test_bad_arguments(self, arguments, match):
        with pytest.raises(ValueError, match=match):
            partition_scores(*make_codes(40), PARTITIONS, **arguments)


class TestLeakage:
    INTENDED = {"yaw": "pose", "person": "person"}  # noqa: RUF012

    def test_none_where_each_lies_in_its_own_alone(self):
        leaks = leakage(*make_codes(1000), PARTITIONS, self.INTENDED)
        assert list(leaks) == ["yaw", "person"]
        assert max(leaks.values()) < 0.05

    def test_all_of_a_copy_and_of_what_lies_elsewhere(self):
        codes, factors = make_codes(1000)
        codes[:, 3] = factors["yaw"]
        leaks = leakage(codes, factors, PARTITIONS, {"yaw": "pose", "person": "rest"})
        assert leaks["yaw"] > 0.95
        assert leaks["person"] == 1

    def test_one_partition_has_nowhere_to_leak(self):
        codes, factors = make_codes(100)
        assert leakage(codes, factors, Partitions({"all": 4}), {"yaw": "all"}) == {"yaw": 0}

    def test_scale_and_order_within_partitions_do_not_matter(self):
        codes, factors = make_codes(400)
        first = leakage(codes, factors, PARTITIONS, {"yaw": "person"})
        again = leakage(
            codes[:, [1, 0, 2, 3]] * [4, 2, 8, 16], factors, PARTITIONS, {"yaw": "person"}
        )
        assert again["yaw"] == pytest.approx(first["yaw"], abs=0.02)
        assert first["yaw"] > 0.95

    @pytest.mark.parametrize(
        ("intended", "error", "match"),
        [
            ({"roll": "pose"}, ValueError, "'roll'; the factors are yaw, person"),
            ({"yaw": "hair"}, PartitionError, "'hair'"),
        ],
    )
    def test_bad_intentions(self, intended, error, match):
        with pytest.raises(error, match=match):
            leakage(*make_codes(40), PARTITIONS, intended)

    def test_partitions_that_do_not_fit_are_named(self):
        with pytest.raises(PartitionError, match="sum to 4; the codes have 3"):
            leakage(np.zeros((8, 3)), {"yaw": np.arange(8.0)}, PARTITIONS, {"yaw": "pose"})
