import numpy as np
import pytest

from pythae_gated.metrics import factor_vae_score
from pythae_gated.metrics.factor_vae import (
    draw_batch,
    least_varying,
    majority_vote,
    rows_by_value,
)
from pythae_gated.metrics.factors import as_factors
from tests.support.reference_codes import reference_codes

N = 1200
FEW = {"n_train": 300, "n_test": 300}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def factors(rng):
    return rng.integers(0, 4, (N, 3))


def draw(seed, votes):
    """Batches of five codes in which one factor of the reference is held."""
    codes, factors = reference_codes(0)
    rng = np.random.default_rng(seed)
    batches = []
    for held, row in rng.integers(0, [3, len(codes)], (votes, 2)):
        rows = np.flatnonzero(factors[:, held] == factors[row, held])
        batches.append((held, codes[rows[rng.integers(0, len(rows), 5)]]))
    return batches


class TestKnownAnswers:
    def test_perfect_codes(self, factors):
        result = factor_vae_score(factors, factors, **FEW)
        assert result.score == 1
        assert (result.votes == np.diag(result.votes.diagonal())).all()
        assert result.votes.sum() == 300

    def test_constant_codes(self, factors):
        result = factor_vae_score(np.ones((N, 4)), factors, **FEW)
        assert result.score == 0
        assert not result.active.any()

    def test_duplicated_codes(self, factors):
        assert factor_vae_score(np.tile(factors, 2), factors, **FEW).score == 1

    def test_random_codes(self, factors, rng):
        assert factor_vae_score(rng.normal(size=(N, 4)), factors, **FEW).score < 0.6

    def test_one_dimension_with_two_factors(self, rng):
        grid = rng.integers(0, 2, (N, 3))
        codes = np.stack([grid[:, 0] + grid[:, 1], grid[:, 2]], axis=1)
        assert factor_vae_score(codes, grid, **FEW).score == pytest.approx(2 / 3, abs=0.1)


class TestInvariance:
    def test_permuted_dimensions(self, factors, rng):
        codes = factors + rng.normal(size=(N, 3))
        result, permuted = (
            factor_vae_score(z, factors, batch_size=8, **FEW) for z in (codes, codes[:, [2, 0, 1]])
        )
        assert (permuted.votes == result.votes[:, [2, 0, 1]]).all()
        assert 0.5 < permuted.score == result.score < 1

    def test_scaled_dimensions_above_the_threshold(self, factors, rng):
        codes = factors + rng.normal(size=(N, 3))
        result, scaled = (
            factor_vae_score(z, factors, batch_size=8, **FEW)
            for z in (codes, codes * [8, 0.25, 2])
        )
        assert (scaled.votes == result.votes).all()


class TestDraws:
    def test_dimensions_below_the_threshold_get_no_vote(self, factors):
        codes = factors * [1, 0.01, 1]
        result = factor_vae_score(codes, factors, **FEW)
        assert result.active.tolist() == [True, False, True]
        assert (result.votes[:, 1] == 0).all()
        assert factor_vae_score(codes, factors, threshold=0, **FEW).active.all()

    def test_a_batch_has_rows_of_one_known_value(self):
        pose = ["a", "a", None, "b", "b", "b", "c", None]
        groups = [rows_by_value(f.in_bins(20)) for f in as_factors({"pose": pose}, rows=8)]
        rng = np.random.default_rng(0)
        drawn = {tuple(np.unique(draw_batch(groups, 9, rng)[1])) for _ in range(20)}
        assert {0, 1, 3, 4, 5} == {row for rows in drawn for row in rows}  # "c" occurs once
        assert all(set(rows) <= {0, 1} or set(rows) <= {3, 4, 5} for rows in drawn)

    def test_rows_are_not_repeated_if_there_are_enough(self, factors):
        groups = [rows_by_value(f.in_bins(20)) for f in as_factors(factors, rows=N)]
        rng = np.random.default_rng(0)
        for _ in range(20):
            fixed, rows = draw_batch(groups, 64, rng)
            assert len(set(rows)) == 64
            assert len(np.unique(factors[rows, fixed])) == 1

    def test_a_continuous_factor_is_held_within_a_bin(self, rng):
        factors = rng.uniform(size=(N, 2))
        assert factor_vae_score(factors, factors, **FEW).score == 1

    def test_the_seed_decides(self, factors, rng):
        codes = rng.normal(size=(N, 3))
        first, again, other = (
            factor_vae_score(codes, factors, seed=seed, **FEW) for seed in (3, 3, 4)
        )
        assert (first.votes == again.votes).all()
        assert first.score == again.score
        assert (first.votes != other.votes).any()


@pytest.mark.parametrize(
    ("threshold", "score", "votes"),
    [
        (0.05, 0.87, [[99, 2, 1, 0, 2], [8, 58, 5, 11, 12], [1, 1, 77, 22, 1]]),
        (0.4, 0.885, [[101, 2, 1, 0, 0], [11, 67, 5, 11, 0], [1, 1, 77, 23, 0]]),
    ],
)
def test_equals_disentanglement_lib_on_the_same_batches(threshold, score, votes):
    """`compute_factor_vae`, whose source of observations returned the batches of `draw`."""
    variance = reference_codes(0)[0].var(axis=0, ddof=1)
    active = np.sqrt(variance) >= threshold
    batches = [*draw(0, 300), *draw(1, 200)]
    fixed = np.array([held for held, _ in batches])
    winners = least_varying(np.stack([codes for _, codes in batches]), variance, active)
    result = majority_vote(fixed, winners, 300, 3, active)
    assert result.score == pytest.approx(score, abs=1e-9)
    assert result.votes.tolist() == votes


class TestBadInput:
    @pytest.mark.parametrize(
        ("codes", "values", "match"),
        [
            (np.full((8, 2), np.nan), [1, 2] * 4, "row 0, dimension 0, is nan"),
            (np.zeros((8, 2)), [1, 2], r"'yaw' has shape \(2,\): expected \(8,\)"),
            (np.zeros((8, 2)), [1] * 8, "'yaw' takes fewer than 2 values"),
            (np.zeros((8, 2)), range(8), r"'yaw' takes 8 values in 8 rows, each once"),
        ],
    )
    def test_names_what_is_wrong(self, codes, values, match):
        with pytest.raises(ValueError, match=match):
            factor_vae_score(codes, {"yaw": list(values)})

    @pytest.mark.parametrize(
        ("numbers", "match"),
        [
            ({"batch_size": 1}, "batch_size=1: expected at least 2"),
            ({"n_train": 0}, "n_train=0: expected at least 1"),
            ({"n_test": 0}, "n_test=0: expected at least 1"),
        ],
    )
    def test_numbers_of_rows_and_votes(self, factors, numbers, match):
        with pytest.raises(ValueError, match=match):
            factor_vae_score(factors, factors, **numbers)
