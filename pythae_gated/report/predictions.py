"""How well each partition predicts each factor, as a report states it."""

from typing import NamedTuple

from pythae_gated.metrics.evaluation import SIGNIFICANT, Evaluation


class Prediction(NamedTuple):
    """How well one partition predicts a factor.

    Attributes:
        factor: Name of the factor.
        text: The factor with its score, such as "yaw (R² 0.99)".
        score: Accuracy of a discrete factor, R2 of a continuous one.
        level: The score on a scale from chance, 0, to a perfect score, 1; 0 if the score is not
            significantly above chance.
        significant: Whether it is (permutation test).
    """

    factor: str
    text: str
    score: float
    level: float
    significant: bool


def read_predictions(evaluation: Evaluation, partition: str) -> dict[str, Prediction]:
    """Factor -> how well this partition predicts it."""
    predictions = {}
    for factor, score in evaluation.scores[partition].items():
        chance = evaluation.chance[factor]
        discrete = factor in evaluation.discrete
        text = f"accuracy {score:.2f}, chance {chance:.2f}" if discrete else f"R² {score:.2f}"
        significant = evaluation.p_values[partition][factor] <= SIGNIFICANT
        level = max(score - chance, 0.0) / (1 - chance) if significant and chance < 1 else 0.0
        predictions[factor] = Prediction(factor, f"{factor} ({text})", score, level, significant)
    return predictions
