import numpy as np
import pytest

from pythae_gated.metrics import sap
from tests.support.reference_codes import reference_codes

N = 1200


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def factors(rng):
    return {"yaw": rng.uniform(-1, 1, N), "eyes": rng.choice(["open", "shut"], N)}


@pytest.fixture
def perfect(factors):
    return np.stack([factors["yaw"] * 2, 4.0 * (factors["eyes"] == "open") - 2], axis=1)


class TestKnownAnswers:
    def test_perfect_codes(self, perfect, factors):
        result = sap(perfect, factors)
        assert result.scores[0, 0] == pytest.approx(1)
        assert result.scores[1, 1] == 1
        assert result.gaps["yaw"] > 0.98
        assert 0.4 < result.gaps["eyes"] < 0.6  # the other dimension guesses half of the rows
        assert result.score == pytest.approx(np.mean(list(result.gaps.values())))

    def test_constant_codes(self, factors):
        result = sap(np.ones((N, 3)), factors)
        assert result.gaps == {"yaw": 0, "eyes": 0}
        assert (result.scores[:, 0] == 0).all()

    def test_duplicated_codes(self, perfect, factors):
        assert sap(np.hstack([perfect, perfect]), factors).score == pytest.approx(0, abs=1e-12)

    def test_random_codes(self, factors, rng):
        assert sap(rng.normal(size=(N, 4)), factors).score < 0.05

    def test_one_dimension_with_two_factors(self, rng):
        grid = rng.integers(0, 2, (N, 2)).astype(float)
        codes = np.stack([grid.sum(axis=1), np.zeros(N)], axis=1)
        assert list(sap(codes, grid).gaps.values()) == pytest.approx([0.5, 0.5], abs=0.05)


class TestInvariance:
    def test_permuted_dimensions(self, perfect, factors, rng):
        codes = np.hstack([perfect, perfect[:, :1] + rng.normal(size=(N, 1))])
        result, permuted = sap(codes, factors), sap(codes[:, [2, 0, 1]], factors)
        assert (permuted.scores == result.scores[[2, 0, 1]]).all()
        assert permuted.gaps == result.gaps

    def test_scaled_dimensions_where_factors_are_continuous(self, perfect, factors, rng):
        codes = np.hstack([perfect, perfect[:, :1] + rng.normal(size=(N, 1))])
        yaw = {"yaw": factors["yaw"]}
        scaled = sap(codes * [4, 0.25, -2], yaw)
        np.testing.assert_allclose(scaled.scores, sap(codes, yaw).scores, atol=1e-12)


def test_test_rows_are_what_is_scored(perfect, factors):
    wrong = {**factors, "eyes": np.where(factors["eyes"] == "open", "shut", "open")}
    assert sap(perfect, factors, test=(perfect, wrong)).scores[1, 1] == 0


def test_the_seed_decides_the_split(rng, factors):
    codes = rng.normal(size=(N, 3))
    assert (sap(codes, factors, seed=3).scores == sap(codes, factors, seed=3).scores).all()
    assert (sap(codes, factors, seed=3).scores != sap(codes, factors, seed=4).scores).any()


def test_rows_of_unknown_label_are_left_out(perfect, factors):
    unknown = np.arange(N) % 3 == 0
    codes = np.where(unknown[:, None], 9.0, perfect)
    hidden = {
        "yaw": np.where(unknown, np.nan, factors["yaw"]),
        "eyes": np.where(unknown, None, factors["eyes"]),
    }
    assert sap(codes, hidden).scores.diagonal() == pytest.approx([1, 1])
    assert sap(codes, factors).scores[0, 0] < 0.8


def test_floats_are_classified_if_asked(perfect, factors):
    halves = np.where(factors["eyes"] == "open", 0.5, 1.5)
    assert sap(perfect, {"eyes": halves}, discrete=["eyes"]).scores[1, 0] == 1


class TestDisentanglementLib:
    """`compute_score_matrix` and `_compute_sap`, fitted and tested on the same codes."""

    def test_discrete_factors(self):
        result = sap(*reference_codes(0), test=reference_codes(1))
        assert result.score == pytest.approx(0.25851851851851854, abs=1e-9)
        np.testing.assert_allclose(
            result.scores,
            [
                [0.772222222222, 0.242222222222, 0.165555555556],
                [0.334444444444, 0.538888888889, 0.247777777778],
                [0.343333333333, 0.233333333333, 0.386666666667],
                [0.340000000000, 0.258888888889, 0.320000000000],
                [0.328888888889, 0.246666666667, 0.141111111111],
            ],
            atol=1e-9,
        )

    def test_continuous_factors(self):
        codes, factors = reference_codes(0)
        test_codes, test_factors = reference_codes(1)
        held_out = (test_codes, test_factors.astype(float))
        result = sap(codes, factors.astype(float), test=held_out)
        assert result.score == pytest.approx(0.7082152852846478, abs=1e-9)
        np.testing.assert_allclose(
            result.scores[:3],
            [
                [0.891410479550, 0.001352400115, 0.000518788519],
                [0.001878826491, 0.631850433571, 0.286228622092],
                [0.000410821353, 0.000000437343, 0.891798274530],
            ],
            atol=1e-9,
        )


class TestBadInput:
    @pytest.mark.parametrize(
        ("codes", "values", "match"),
        [
            (np.full((8, 2), np.nan), [1, 2] * 4, "row 0, dimension 0, is nan"),
            (np.zeros((8, 1)), [1, 2] * 4, "codes of 1 dimension: expected at least 2"),
            (np.zeros((8, 2)), [1, 2], r"'yaw' has shape \(2,\): expected \(8,\)"),
            (np.zeros((8, 2)), [1] * 8, "'yaw' takes fewer than 2 values"),
            (np.zeros((8, 2)), range(8), r"'yaw' takes 6 values in 6 rows, each once"),
        ],
    )
    def test_names_what_is_wrong(self, codes, values, match):
        with pytest.raises(ValueError, match=match):
            sap(codes, {"yaw": list(values)})
