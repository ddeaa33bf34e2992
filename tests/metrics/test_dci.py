import numpy as np
import pytest
import sklearn
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestRegressor,
)
from sklearn.linear_model import Lasso, LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pythae_gated.metrics import dci
from pythae_gated.metrics.dci import completeness, disentanglement
from tests.support.reference_codes import reference_codes

N = 1500


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def factors(rng):
    return {
        "yaw": rng.uniform(-40, 40, N),
        "identity": rng.integers(0, 10, N),
        "eyes": rng.choice(["open", "sunglasses"], N),
    }


@pytest.fixture
def perfect(factors):
    """One dimension a factor, on the scale of a prior, so (N, 3)."""
    return np.stack(
        [factors["yaw"] / 20, factors["identity"] / 5 - 1, factors["eyes"] == "open"], axis=1
    )


class TestKnownAnswers:
    def test_perfect_codes_score_one(self, perfect, factors):
        result = dci(perfect, factors)
        assert result.disentanglement > 0.99
        assert result.completeness > 0.99
        assert result.mean_informativeness > 0.99
        assert result.discrete == ("identity", "eyes")

    def test_perfect_codes_among_noise_score_high(self, perfect, factors, rng):
        result = dci(np.hstack([perfect, rng.normal(size=(N, 5))]), factors)
        assert result.disentanglement > 0.97
        assert result.completeness > 0.97

    def test_constant_codes_score_zero(self, factors):
        result = dci(np.ones((N, 4)), factors)
        assert result.disentanglement == 0
        assert result.completeness == 0
        assert result.informativeness["yaw"] == 0
        assert (result.importance == 0).all()

    def test_random_codes_predict_nothing(self, factors, rng):
        result = dci(rng.normal(size=(N, 4)), factors)
        assert result.disentanglement < 0.1
        assert result.completeness < 0.1
        assert result.informativeness["yaw"] < 0.05
        assert result.informativeness["identity"] < 0.2

    def test_duplicated_codes_are_disentangled_but_incomplete(self, perfect, factors):
        result = dci(np.hstack([perfect, perfect]), factors)
        assert result.disentanglement > 0.95
        assert result.completeness < 0.75

    def test_rotated_codes_are_entangled(self, rng):
        codes = rng.uniform(size=(N, 2))
        rotation = np.array([[1, -1], [1, 1]]) / np.sqrt(2)
        result = dci(codes @ rotation, codes)
        assert result.disentanglement < 0.3
        assert result.completeness < 0.3
        assert result.mean_informativeness > 0.9

    def test_one_dimension_with_two_factors_is_complete_but_entangled(self, rng):
        grid = rng.integers(0, 4, (N, 2))
        codes = np.stack([grid[:, 0] * 4 + grid[:, 1], rng.normal(size=N)], axis=1)
        result = dci(codes, grid)
        assert result.disentanglement < 0.1
        assert result.completeness > 0.9


class TestImportance:
    def test_columns_sum_to_one(self, perfect, factors):
        assert dci(perfect, factors).importance.sum(axis=0) == pytest.approx([1, 1, 1])

    def test_scale_does_not_matter(self, perfect, factors):
        result = dci(perfect, factors)
        scaled = dci(perfect * [4, 0.25, 2], factors)
        np.testing.assert_allclose(scaled.importance, result.importance)

    @pytest.mark.parametrize(
        ("importance", "d", "c"),
        [
            (np.eye(3), 1, 1),
            (np.zeros((3, 2)), 0, 0),
            (np.full((4, 4), 0.25), 0, 0),
            (np.array([[0.5, 0.0], [0.5, 0.0], [0.0, 1.0], [0.0, 0.0]]), 1, 0.75),
            (np.array([[1.0, 1.0], [0.0, 0.0]]), 0, 1),  # one dimension holds both
            (np.array([[1.0, 0.0], [0.0, 0.0]]), 1, 0.5),  # one factor is not predicted
            (np.array([[1.0], [0.0]]), 1, 1),  # one factor
            (np.array([[1.0, 1.0]]), 0, 1),  # one dimension
        ],
    )
    def test_scores_of_an_importance_matrix(self, importance, d, c):
        assert disentanglement(importance) == pytest.approx(d)
        assert completeness(importance) == pytest.approx(c)


class TestRows:
    def test_the_seed_decides_to_the_bit(self, rng, factors):
        codes = rng.normal(size=(N, 4)) + factors["identity"][:, None]
        first, again = dci(codes, factors, seed=3), dci(codes, factors, seed=3, n_jobs=1)
        other = dci(codes, factors, seed=4)
        assert (first.importance == again.importance).all()
        assert first.informativeness == again.informativeness
        assert (first.importance != other.importance).any()

    def test_numpys_generator_is_left_alone(self, perfect, factors):
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        dci(perfect, factors)
        assert (np.random.get_state()[1] == before).all()  # noqa: NPY002

    def test_test_rows_are_what_is_scored(self, perfect, factors):
        wrong = {**factors, "eyes": np.where(factors["eyes"] == "open", "sunglasses", "open")}
        result = dci(perfect, factors, test=(perfect, wrong))
        assert result.informativeness["eyes"] == 0
        assert result.informativeness["identity"] == 1

    def test_rows_of_unknown_label_are_left_out(self, perfect, factors):
        unknown = np.arange(N) % 3 == 0
        noise = np.where(unknown[:, None], 100.0, perfect)
        result = dci(
            noise,
            {
                "yaw": np.where(unknown, np.nan, factors["yaw"]),
                "eyes": np.where(unknown, None, factors["eyes"]),
            },
        )
        assert min(result.informativeness.values()) > 0.99
        assert result.discrete == ("eyes",)

    def test_discrete_floats_are_classified_if_asked(self, perfect, factors):
        yaw = factors["yaw"].round(-1) / 3
        result = dci(perfect, {"yaw": yaw}, discrete=["yaw"])
        assert result.discrete == ("yaw",)
        assert result.informativeness["yaw"] > 0.95

    def test_a_class_that_was_never_fitted_counts_as_wrong(self, perfect, factors):
        names = {"eyes": factors["eyes"]}
        unseen = {"eyes": np.array(["shut"] * N)}
        with pytest.warns(UserWarning, match=r"'eyes' has 1 classes .* such as 'shut'"):
            assert dci(perfect, names, test=(perfect, unseen)).informativeness == {"eyes": 0}


class TestGradientBoosting:
    @pytest.mark.skipif(
        tuple(map(int, sklearn.__version__.split(".")[:2])) < (1, 9),
        reason="the reference numbers are of scikit-learn 1.9, whose trees differ from older ones",
    )
    def test_equals_disentanglement_lib(self):
        """`_compute_dci` of 200 + 200 rows and two factors, random_state 7 on both sides."""
        (codes, factors), (test_codes, test_factors) = reference_codes(0), reference_codes(1)
        result = dci(
            codes[:200],
            factors[:200, :2],
            test=(test_codes[:200], test_factors[:200, :2]),
            estimator=boosting(7),
        )
        assert result.disentanglement == pytest.approx(0.7719987298899427, abs=1e-9)
        assert result.completeness == pytest.approx(0.6334963769190438, abs=1e-9)
        assert result.mean_informativeness == pytest.approx(0.7949999999999999, abs=1e-9)
        np.testing.assert_allclose(
            result.importance,
            [
                [0.964432786020, 0.040245655128],
                [0.022407680114, 0.650674282698],
                [0.004429419566, 0.237110466838],
                [0.002180130869, 0.034450353342],
                [0.006549983431, 0.037519241995],
            ],
            atol=1e-9,
        )

    def test_constant_codes_score_zero(self, factors):
        few = {name: factors[name][:100] for name in ("yaw", "eyes")}
        result = dci(np.ones((100, 3)), few, estimator=boosting())
        assert result.disentanglement == result.completeness == 0
        assert (result.importance == 0).all()


def boosting(seed=0):
    """scikit-learn's defaults, as disentanglement_lib has them."""
    return GradientBoostingClassifier(random_state=seed), GradientBoostingRegressor(
        random_state=seed
    )


def lasso():
    """Standardised codes, with the penalty of Eastwood and Williams."""
    return make_pipeline(StandardScaler(), Lasso(alpha=0.02))


class TestEstimators:
    @pytest.mark.parametrize(("scale", "offset"), [(0.5, 1.7e9), (1e-9, 0.0), (1e-9, 1.0)])
    def test_units_and_offsets_of_a_factor_do_not_matter(self, perfect, factors, scale, offset):
        """Trees compute variances from squares: of times in seconds since 1970, only rounding."""
        changed = {"yaw": offset + scale * factors["yaw"]}
        found = dci(perfect, changed).informativeness["yaw"]
        assert found == pytest.approx(
            dci(perfect, {"yaw": factors["yaw"]}).informativeness["yaw"], abs=0.01
        )

    def test_a_lassos_importance_is_its_coefficients(self, perfect, factors):
        """One input of unit variance: the coefficient is the deviation, less the penalty."""
        yaw = {"yaw": (factors["yaw"] - factors["yaw"].mean()) / factors["yaw"].std()}
        result = dci(perfect, yaw, estimator=lasso())
        assert result.importance.max() == pytest.approx(0.98, abs=0.01)
        assert result.completeness > 0.99
        assert result.informativeness["yaw"] > 0.99

    def test_a_regressor_regresses_classes_that_are_numbers(self, perfect, factors):
        result = dci(perfect, {"identity": factors["identity"]}, estimator=lasso())
        assert result.informativeness["identity"] > 0.99

    def test_a_classifier_of_several_coefficients_per_dimension(self, perfect, factors):
        classes = {name: factors[name] for name in ("identity", "eyes")}
        result = dci(perfect, classes, estimator=LogisticRegression(max_iter=2000))
        assert result.importance.argmax(axis=0).tolist() == [1, 2]
        assert result.informativeness["eyes"] == 1

    def test_importances_that_are_rounded_below_0_are_0(self, perfect, factors):
        class Rounded(RandomForestRegressor):
            @property
            def feature_importances_(self):
                return super().feature_importances_ - np.array([0, 1e-9, 0.1])

        yaw = {"yaw": factors["yaw"]}
        result = dci(perfect, yaw, estimator=Rounded(10, min_samples_leaf=100, random_state=0))
        assert result.importance[2] == 0
        assert 0 <= result.completeness <= 1

    def test_the_estimator_itself_is_not_fitted(self, perfect, factors):
        estimator = lasso()
        dci(perfect, {"yaw": factors["yaw"]}, estimator=estimator)
        assert not hasattr(estimator[-1], "coef_")

    def test_factors_that_it_cannot_predict_are_named(self, perfect, factors):
        with pytest.raises(ValueError, match=r"'eyes' has strings, which a regressor cannot"):
            dci(perfect, factors, estimator=lasso())
        with pytest.raises(ValueError, match=r"'yaw' has floats, which a classifier cannot"):
            dci(perfect, factors, estimator=LogisticRegression())

    @pytest.mark.parametrize(
        ("estimator", "match"),
        [
            ("forest", "estimator='forest': expected a classifier or regressor of scikit-learn"),
            (StandardScaler(), r"estimator=StandardScaler\(\): .* or a tuple of both"),
            (boosting()[:1], r"estimator=\(GradientBoostingClassifier\(.*\),\): expected a class"),
            (KNeighborsRegressor(), "KNeighborsRegressor.* has no importance of each of the 3"),
            (make_pipeline(PCA(2), Lasso()), "has no importance .* dimensions are kept"),
        ],
    )
    def test_what_cannot_be_used_is_refused(self, estimator, match, perfect, factors):
        with pytest.raises(ValueError, match=match):
            dci(perfect, {"yaw": factors["yaw"]}, estimator=estimator)


class TestBadInput:
    @pytest.mark.parametrize(
        ("codes", "match"),
        [
            (np.zeros(5), r"codes of shape \(5,\)"),
            (np.zeros((5, 0)), r"codes of shape \(5, 0\)"),
            (np.array([["a"]] * 5), "dtype <U1"),
            (np.full((5, 2), np.nan), "row 0, dimension 0, is nan"),
            (np.zeros((4, 2)), r"'yaw' has shape \(5,\): expected \(4,\)"),
        ],
    )
    def test_codes(self, codes, match):
        with pytest.raises(ValueError, match=match):
            dci(codes, {"yaw": np.arange(5)})

    def test_a_value_for_each_row(self):
        with pytest.raises(ValueError, match="'yaw' takes 6 values in 6 rows, each once"):
            dci(np.zeros((8, 2)), {"yaw": np.arange(8)})

    def test_one_value_alone(self):
        with pytest.raises(ValueError, match="'yaw' takes fewer than 2 values"):
            dci(np.zeros((8, 2)), {"yaw": np.ones(8)})

    def test_nothing_known(self):
        with pytest.raises(ValueError, match="'yaw' is known in 0 of 2 rows to test"):
            dci(np.zeros((8, 2)), {"yaw": np.full(8, np.nan)})

    def test_other_factors_to_test(self):
        codes = np.zeros((8, 2))
        with pytest.raises(ValueError, match=r"to fit are \['yaw'\], those to test \['pitch'\]"):
            dci(codes, {"yaw": np.arange(8.0)}, test=(codes, {"pitch": np.arange(8.0)}))

    def test_other_dimensions_to_test(self):
        yaw = {"yaw": np.arange(8.0)}
        with pytest.raises(ValueError, match="2 dimensions to fit, 3 to test"):
            dci(np.zeros((8, 2)), yaw, test=(np.zeros((8, 3)), yaw))
