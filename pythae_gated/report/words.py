"""What an evaluation says of each partition, in plain words."""

from collections.abc import Iterable, Sequence

from pythae_gated.metrics.evaluation import Evaluation

TELLS, SOMETHING = 0.75, 0.25  # of the way from chance to perfect
UNUSED = 0.1  # nats
IN_PLACE, LITTLE_SHARE = 0.9, 0.1  # of a factor's importance


def above_chance(evaluation: Evaluation, partition: str, factor: str) -> float:
    """How far a partition's score is from chance, 0 or less, to perfect, 1."""
    chance = evaluation.chance[factor]
    score = evaluation.scores[partition][factor]
    return (score - chance) / (1 - chance) if chance < 1 else 0.0


def verdict(evaluation: Evaluation) -> str:
    """Whether the factors lie where they were meant to, in a sentence or two."""
    shares = evaluation.alignment
    if not shares:
        return (
            "Nothing was said of which partition each factor was meant for, so this tells only "
            "where the factors lie."
        )
    away = [factor for factor, share in shares.items() if share < IN_PLACE]
    where = "they were" if len(away) > 1 else "it was"
    head = "Each factor that was meant for a partition lies in it."
    if away:
        head = f"Only in part, or not at all, where {where} meant to lie: {join(away)}."
    figures = join(f"{factor} {share:.2f}" for factor, share in shares.items())
    share = f"Share of its importance that lies in the partition meant for it: {figures}."
    leaks = {name: leak for name, leak in evaluation.leakage.items() if leak >= SOMETHING}
    if not leaks:
        return f"{head} {share}"
    figures = join(f"{factor} {leak:.2f}" for factor, leak in leaks.items())
    return f"{head} {share} The other partitions tell something too (leakage): {figures}."


def describe(evaluation: Evaluation, partition: str) -> list[str]:
    """Sentences on one partition: what it tells alone, what lies in it, and whether it is used.

    A factor is told where its score comes three quarters of the way from chance to perfect, and
    something is told of it from a quarter of the way.
    """
    told, partly, hardly = _levels(evaluation, partition)
    clauses = [
        words + join(_with_score(evaluation, partition, factor) for factor in factors)
        for words, factors in (
            ("", told),
            ("something of ", partly),
            ("little or nothing of ", hardly),
        )
        if factors
    ]
    sentences = [f"tells {'; '.join(clauses)}."]
    shares = evaluation.share[partition]
    if meant := [name for name, where in evaluation.intended.items() if where == partition]:
        figures = join(f"{shares[factor]:.2f}" for factor in meant)
        sentences.append(f"Meant for {join(meant)}, of whose importance it has {figures}.")
    if spare := [name for name in (*told, *partly) if shares[name] < LITTLE_SHARE]:
        sentences.append(
            f"What it tells of {join(spare)} the other partitions tell as well or better: beside "
            "them it adds little or nothing."
        )
    if evaluation.kl_by_partition[partition] < UNUSED:
        sentences.append("The model hardly uses it: its KL is next to nothing.")
    return sentences


def join(words: Iterable[str]) -> str:
    """Words in a row, as in a sentence.

    Example:
        >>> join(["yaw", "pitch", "smile"])
        'yaw, pitch and smile'
    """
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last


def score_name(evaluation: Evaluation, factor: str) -> str:
    """What a factor's score is called."""
    return "accuracy" if factor in evaluation.discrete else "R²"


def _levels(
    evaluation: Evaluation, partition: str
) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    reached = {f: above_chance(evaluation, partition, f) for f in evaluation.factors}
    told = [factor for factor, level in reached.items() if level >= TELLS]
    partly = [factor for factor, level in reached.items() if SOMETHING <= level < TELLS]
    hardly = [factor for factor in reached if factor not in (*told, *partly)]
    return told, partly, hardly


def _with_score(evaluation: Evaluation, partition: str, factor: str) -> str:
    score = f"{score_name(evaluation, factor)} {evaluation.scores[partition][factor]:.2f}"
    if factor in evaluation.discrete:
        score += f", chance {evaluation.chance[factor]:.2f}"
    return f"{factor} ({score})"
