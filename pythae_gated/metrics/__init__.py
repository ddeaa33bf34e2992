"""Metrics of representations: which part of the codes encodes which factor of variation."""

from pythae_gated.metrics.dci import DCI, dci
from pythae_gated.metrics.evaluate import evaluate
from pythae_gated.metrics.evaluation import Evaluation, compare
from pythae_gated.metrics.factor_vae import FactorVAEScore, factor_vae_score
from pythae_gated.metrics.information import Gaps, Modularity, mig, modularity
from pythae_gated.metrics.partition_scores import (
    PartitionScores,
    leakage,
    partition_scores,
    partition_share,
)
from pythae_gated.metrics.sap import sap

__all__ = [
    "DCI",
    "Evaluation",
    "FactorVAEScore",
    "Gaps",
    "Modularity",
    "PartitionScores",
    "compare",
    "dci",
    "evaluate",
    "factor_vae_score",
    "leakage",
    "mig",
    "modularity",
    "partition_scores",
    "partition_share",
    "sap",
]
