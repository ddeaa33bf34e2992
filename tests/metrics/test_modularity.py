import numpy as np
import pytest

from pythae_gated.metrics import explicitness, modularity
from tests.support.reference_codes import reference_codes

N = 1200


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def factors(rng):
    return {"pose": rng.integers(0, 3, N), "eyes": rng.choice(["open", "shut"], N)}


@pytest.fixture
def perfect(factors):
    return np.stack([factors["pose"] / 2, factors["eyes"] == "open"], axis=1)


@pytest.fixture
def one_hot(factors):
    """What a linear classifier needs to tell all poses, shape (N, 4)."""
    return np.hstack([np.eye(3)[factors["pose"]], (factors["eyes"] == "open")[:, None]])


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


class TestExplicitness:
    def test_perfect_codes(self, one_hot, factors):
        assert explicitness(one_hot, factors).by_factor == {"pose": 1, "eyes": 1}

    def test_constant_codes(self, factors):
        assert explicitness(np.ones((N, 3)), factors).by_factor == {"pose": 0, "eyes": 0}

    def test_duplicated_codes_are_as_explicit(self, one_hot, factors):
        assert explicitness(np.tile(one_hot, 2), factors).score == 1

    def test_random_codes(self, factors, rng):
        assert abs(explicitness(rng.normal(size=(N, 4)), factors).score) < 0.1

    def test_one_dimension_with_two_factors_hides_one(self):
        grid = np.stack([np.arange(N) % 2, np.arange(N) // 2 % 4], axis=1)
        by_factor = explicitness(grid @ [[1], [2]], grid).by_factor
        assert by_factor["0"] < 0.4  # 0, 2, 4, 6 against 1, 3, 5, 7
        assert by_factor["1"] > 0.6

    def test_permuted_and_scaled_dimensions(self, rng, factors):
        codes = rng.normal(size=(N, 3)) + factors["pose"][:, None]
        result = explicitness(codes, factors)
        other = explicitness(codes[:, ::-1] * [3, -0.5, 10], factors)
        assert 0.2 < result.by_factor["pose"] < 0.95
        assert other.by_factor == pytest.approx(result.by_factor, abs=1e-3)

    def test_a_continuous_factor_is_put_into_bins(self, rng):
        yaw = rng.uniform(size=N)
        assert explicitness(yaw[:, None], {"yaw": yaw}, n_bins=2).score > 0.999

    @pytest.mark.parametrize(
        ("codes", "values"),
        [
            ([-9, 9], [-9, 9]),  # beyond the fitted bins
            ([0.4, -9, 0.9], [-9, 0.4, 0.9]),  # in bins of their own, 0.4 would go with 0.9
        ],
    )
    def test_bins_are_those_of_the_fitted_rows(self, codes, values):
        yaw = np.linspace(0, 1, 100)
        held_out = (np.array(codes)[:, None], {"yaw": np.array(values, dtype=float)})
        found = explicitness(yaw[:, None], {"yaw": yaw}, n_bins=2, test=held_out)
        assert found.by_factor == {"yaw": 1}

    def test_rows_of_unknown_label_are_left_out(self, one_hot, factors):
        unknown = np.arange(N) % 2 == 0
        codes = np.where(unknown[:, None], 1 - one_hot, one_hot)
        hidden = {name: np.where(unknown, None, values) for name, values in factors.items()}
        assert explicitness(codes, hidden).score == 1
        assert explicitness(codes, factors).score < 0.5

    def test_equals_disentanglement_lib(self):
        result = explicitness(*reference_codes(0), test=reference_codes(1))
        areas = [0.9893462910522167, 0.9436199150875917, 0.9920178199160419]
        assert [(1 + value) / 2 for value in result.by_factor.values()] == pytest.approx(
            areas, abs=1e-9
        )
        assert (1 + result.score) / 2 == pytest.approx(0.9749946753519501, abs=1e-9)


class TestBadInput:
    @pytest.mark.parametrize("metric", [modularity, explicitness])
    @pytest.mark.parametrize(
        ("codes", "values", "match"),
        [
            (np.full((8, 2), np.nan), [1, 2] * 4, "row 0, dimension 0, is nan"),
            (np.zeros((8, 2)), [1, 2], r"'yaw' has shape \(2,\): expected \(8,\)"),
            (np.zeros((8, 2)), [1] * 8, "'yaw' takes fewer than 2 values"),
            (np.zeros((8, 2)), range(8), r"'yaw' takes . values in . rows, each once"),
        ],
    )
    def test_names_what_is_wrong(self, metric, codes, values, match):
        with pytest.raises(ValueError, match=match):
            metric(codes, {"yaw": list(values)})

    def test_no_two_fitted_classes_to_test(self):
        codes, values = np.zeros((4, 2)), {"yaw": [1, 1, 2, 2]}
        with pytest.raises(ValueError, match="'yaw' takes 1 of its fitted values in the 4 rows"):
            explicitness(codes, values, test=(codes, {"yaw": [1, 1, 3, 3]}))
