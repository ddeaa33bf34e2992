"""Judge a representation: which part of the codes holds which factor of variation."""

from pythae_gated.metrics.dci import DCI, dci
from pythae_gated.metrics.evaluate import evaluate
from pythae_gated.metrics.evaluation import Evaluation
from pythae_gated.metrics.partition_scores import (
    PartitionScores,
    partition_scores,
    partition_share,
)

__all__ = [
    "DCI",
    "Evaluation",
    "PartitionScores",
    "dci",
    "evaluate",
    "partition_scores",
    "partition_share",
]
