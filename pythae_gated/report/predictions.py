"""How well each partition predicts each factor, as a report states it."""

from typing import NamedTuple

from pythae_gated.metrics.evaluation import FEW as FEW  # for the page
from pythae_gated.metrics.evaluation import SIGNIFICANT as SIGNIFICANT
from pythae_gated.metrics.evaluation import Evaluation

STRONG, WEAK = 0.5, 0.1  # levels of a prediction, from chance (0) to perfect (1)
LIGHTS = ("not encoded", "leaks", "not assigned", "encoded")  # by what needs attention first


class Prediction(NamedTuple):
    """How well one partition predicts a factor.

    Attributes:
        factor: Name of the factor.
        score: Accuracy of a discrete factor, R2 of a continuous one.
        level: The score on a scale from chance, 0, to a perfect score, 1; 0 if the score is not
            significantly above chance.
        significant: Whether it is (permutation test), or cannot be tested.
        partition: The partition.
    """

    factor: str
    score: float
    level: float
    significant: bool
    partition: str


class Verdict(NamedTuple):
    """Whether a factor is encoded where it should be.

    Attributes:
        light: One of `LIGHTS`. A factor is encoded if its level in the partition assigned to it
            is at least `STRONG`; it leaks if its leakage is at least `WEAK` then.
        own: From the partition assigned to it, or else the best prediction.
        leakage: From all others together; 0 if none is assigned.
    """

    light: str
    own: Prediction
    leakage: float


def read_predictions(evaluation: Evaluation, partition: str) -> dict[str, Prediction]:
    """Factor -> how well this partition predicts it."""
    predictions = {}
    for factor, score in evaluation.scores[partition].items():
        chance = evaluation.chance[factor]
        significant = evaluation.is_significant(partition, factor)
        level = max(score - chance, 0.0) / (1 - chance) if significant and chance < 1 else 0.0
        predictions[factor] = Prediction(factor, score, level, significant, partition)
    return predictions


def read_verdicts(evaluation: Evaluation) -> dict[str, Verdict]:
    """Factor -> its verdict, those that need attention first."""
    found = [read_predictions(evaluation, name) for name in evaluation.partitions.names]
    verdicts = []
    for factor in evaluation.factors:
        best = max((each[factor] for each in found), key=lambda each: each.level)
        assigned, leak = evaluation.intended.get(factor), evaluation.leakage.get(factor, 0.0)
        own = next((each[factor] for each in found if each[factor].partition == assigned), best)
        light = "leaks" if leak >= WEAK else "encoded"
        if assigned is None or own.level < STRONG:
            light = "not assigned" if assigned is None else "not encoded"
        verdicts.append(Verdict(light, own, leak))
    verdicts.sort(key=lambda each: (LIGHTS.index(each.light), each.own.level - each.leakage))
    return {each.own.factor: each for each in verdicts}
