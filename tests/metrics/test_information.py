import numpy as np
import pytest

from pythae_gated.metrics import mig, modularity
from tests.support.reference_codes import reference_codes

N = 1200


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def factors(rng):
    return {"pose": rng.integers(0, 5, N), "eyes": rng.choice(["open", "shut"], N)}


@pytest.fixture
def perfect(factors):
    return np.stack([factors["pose"] / 2, factors["eyes"] == "open"], axis=1)


class TestMIG:
    def test_perfect_codes(self, perfect, factors):
        result = mig(np.hstack([perfect, np.zeros((N, 1))]), factors)
        assert result.score > 0.99
        assert list(result.gaps) == ["pose", "eyes"]
        assert result.scores[0, 0] == pytest.approx(np.log(5), rel=0.01)

    def test_constant_codes(self, factors):
        assert mig(np.ones((N, 3)), factors).gaps == {"pose": 0, "eyes": 0}

    def test_duplicated_codes(self, perfect, factors):
        assert mig(np.hstack([perfect, perfect]), factors).score == 0

    def test_random_codes(self, factors, rng):
        assert mig(rng.normal(size=(N, 4)), factors).score < 0.02

    def test_one_dimension_with_two_factors_has_full_gaps(self, rng):
        grid = rng.integers(0, 4, (N, 2))
        codes = np.stack([grid[:, 0] * 4 + grid[:, 1], np.zeros(N)], axis=1)
        assert mig(codes, grid).score == pytest.approx(1)

    def test_a_continuous_factor_is_put_into_bins(self, rng):
        size = rng.uniform(size=N)
        result = mig(np.stack([size, rng.normal(size=N)], axis=1), {"size": size}, n_bins=8)
        assert result.scores[0, 0] == pytest.approx(np.log(8), rel=0.01)
        assert result.score > 0.97


class TestInvariance:
    def test_permuted_dimensions(self, perfect, factors, rng):
        codes = np.hstack([perfect, perfect[:, :1] + rng.normal(size=(N, 1))])
        result, permuted = mig(codes, factors), mig(codes[:, [2, 0, 1]], factors)
        assert permuted.gaps == result.gaps
        assert 0.3 < result.gaps["pose"] < 0.9

    def test_scaled_dimensions(self, perfect, factors):
        codes = np.hstack([perfect, perfect[:, :1] ** 2])
        result, scaled = mig(codes, factors), mig(codes * [4, 0.25, -2], factors)
        np.testing.assert_allclose(scaled.scores, result.scores, atol=1e-12)


def test_rows_of_unknown_label_are_left_out(perfect, factors):
    unknown = np.arange(N) % 3 == 0
    codes = np.where(unknown[:, None], 0.5, perfect)
    eyes = np.where(unknown, None, factors["eyes"])
    assert mig(codes, {"eyes": eyes}).gaps == mig(codes[~unknown], {"eyes": eyes[~unknown]}).gaps
    assert mig(codes, {"eyes": eyes}).score > 0.95
    assert mig(codes, {"eyes": factors["eyes"]}).score < 0.8


class TestDisentanglementLib:
    """`_compute_mig` and `discrete_mutual_info` on the same codes, see `reference_codes`."""

    def test_discrete_factors(self):
        result = mig(*reference_codes(0))
        assert result.score == pytest.approx(0.4779903107587864, abs=1e-9)
        np.testing.assert_allclose(
            result.scores,
            [
                [0.960125065841, 0.039241571682, 0.057115026987],
                [0.026167358395, 0.505330577674, 0.246582583977],
                [0.028976845907, 0.035710373746, 1.054345422358],
                [0.025115232698, 0.033551443346, 0.609923633563],
                [0.016780885696, 0.025858115947, 0.058393729822],
            ],
            atol=1e-9,
        )

    def test_continuous_factors_that_it_was_given_in_bins(self):
        codes, _ = reference_codes(0)
        factors = np.stack([codes[:, 0] + codes[:, 4], np.exp(codes[:, 2])], axis=1)
        assert mig(codes, factors).score == pytest.approx(0.5056633282255512, abs=1e-9)


class TestBadInput:
    @pytest.mark.parametrize(
        ("codes", "values", "match"),
        [
            (np.full((6, 2), np.nan), [1, 1, 1, 2, 2, 2], "row 0, dimension 0, is nan"),
            (np.zeros((6, 1)), [1, 1, 1, 2, 2, 2], "codes of 1 dimension: expected at least 2"),
            (np.zeros((6, 2)), [1, 1, 1, 2, 2], r"'yaw' has shape \(5,\): expected \(6,\)"),
            (np.zeros((6, 2)), [1] * 6, "'yaw' takes fewer than 2 values in the 6 rows"),
            (np.zeros((6, 2)), [np.nan] * 6, "'yaw' takes fewer than 2 values in the 0 rows"),
            (np.zeros((6, 2)), range(6), r"6 values in 6 rows, each once \(such as 0\).*floats"),
            (np.zeros((6, 2)), [0.0, 1, 2, 3, 4, np.inf], "'yaw' has infinite values"),
        ],
    )
    def test_names_what_is_wrong(self, codes, values, match):
        with pytest.raises(ValueError, match=match):
            mig(codes, {"yaw": list(values)})

    def test_one_bin(self):
        with pytest.raises(ValueError, match="n_bins=1: expected at least 2"):
            mig(np.zeros((4, 2)), {"yaw": [1, 1, 2, 2]}, n_bins=1)


class TestModularity:
    def test_perfect_codes(self, perfect, factors):
        result = modularity(perfect, factors)
        assert result.score > 0.999
        assert result.mutual_information.shape == (2, 2)

    def test_constant_codes(self, factors):
        assert (modularity(np.ones((N, 3)), factors).by_dimension == 0).all()

    def test_duplicated_codes_are_as_modular(self, perfect, factors):
        once, twice = modularity(perfect, factors), modularity(np.tile(perfect, 2), factors)
        assert twice.score == once.score

    def test_random_codes_are_less_modular(self, rng):
        equal = rng.integers(0, 4, (N, 3))
        assert modularity(rng.normal(size=(N, 6)), equal).score < 0.8

    def test_one_dimension_with_two_factors(self, rng):
        grid = np.stack([np.arange(N) % 4, np.arange(N) // 4 % 4], axis=1)
        codes = np.stack([grid[:, 0] * 4 + grid[:, 1], grid[:, 0]], axis=1)
        assert modularity(codes, grid).by_dimension == pytest.approx([0, 1], abs=1e-9)

    def test_one_factor_alone(self, perfect, factors):
        codes = np.hstack([perfect, np.zeros((N, 1))])
        result = modularity(codes, {"pose": factors["pose"]})
        assert result.by_dimension.tolist() == [1, 1, 0]

    def test_permuted_dimensions(self, rng, factors):
        codes = rng.normal(size=(N, 4)) + factors["pose"][:, None]
        result, permuted = modularity(codes, factors), modularity(codes[:, ::-1], factors)
        assert (permuted.by_dimension[::-1] == result.by_dimension).all()

    def test_scaled_dimensions(self, perfect, factors):
        result = modularity(perfect * [-8, 0.25], factors)
        np.testing.assert_allclose(
            result.by_dimension, modularity(perfect, factors).by_dimension, atol=1e-12
        )

    def test_rows_of_unknown_label_are_left_out(self, perfect, factors):
        unknown = np.arange(N) % 2 == 0
        codes = np.where(unknown[:, None], perfect[:, ::-1], perfect)
        hidden = {name: np.where(unknown, None, values) for name, values in factors.items()}
        assert modularity(codes, hidden).score > 0.999
        assert modularity(codes, factors).score < 0.95

    def test_equals_disentanglement_lib(self):
        codes, factors = reference_codes(0)
        assert modularity(codes, factors).score == pytest.approx(0.946870054285036, abs=1e-9)
        floats = np.stack([codes[:, 0] + codes[:, 4], np.exp(codes[:, 2])], axis=1)
        # It was given these in bins.
        assert modularity(codes, floats).score == pytest.approx(0.6540935652178625, abs=1e-9)

    @pytest.mark.parametrize(
        ("codes", "values", "match"),
        [
            (np.full((8, 2), np.nan), [1, 2] * 4, "row 0, dimension 0, is nan"),
            (np.zeros((8, 2)), [1, 2], r"'yaw' has shape \(2,\): expected \(8,\)"),
            (np.zeros((8, 2)), [1] * 8, "'yaw' takes fewer than 2 values"),
            (np.zeros((8, 2)), range(8), r"'yaw' takes . values in . rows, each once"),
        ],
    )
    def test_bad_input_is_named(self, codes, values, match):
        with pytest.raises(ValueError, match=match):
            modularity(codes, {"yaw": list(values)})


def test_a_collapsed_dimension_counts_as_constant():
    """Its range is less than rounding allows to divide into bins."""
    rng = np.random.default_rng(0)
    pose = rng.integers(0, 5, N)
    collapsed = np.float32(0.1) + rng.integers(0, 2, N).astype(np.float32) * np.float32(7e-9)
    codes = np.stack([pose, collapsed], axis=1).astype(np.float32)
    assert mig(codes, {"pose": pose}).scores[1, 0] == 0
    assert modularity(codes, {"pose": pose}).mutual_information[1, 0] == 0
