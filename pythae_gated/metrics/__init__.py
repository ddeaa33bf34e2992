"""Judge a representation: which part of the codes holds which factor of variation."""

from pythae_gated.metrics.dci import DCI, dci
from pythae_gated.metrics.evaluate import evaluate
from pythae_gated.metrics.evaluation import Evaluation, compare
from pythae_gated.metrics.factor_vae import FactorVAEScore, factor_vae_score
from pythae_gated.metrics.mig import MIG, mig
from pythae_gated.metrics.modularity import Explicitness, Modularity, explicitness, modularity
from pythae_gated.metrics.partition_scores import (
    PartitionScores,
    leakage,
    partition_scores,
    partition_share,
)
from pythae_gated.metrics.sap import SAP, sap

__all__ = [
    "DCI",
    "MIG",
    "SAP",
    "Evaluation",
    "Explicitness",
    "FactorVAEScore",
    "Modularity",
    "PartitionScores",
    "compare",
    "dci",
    "evaluate",
    "explicitness",
    "factor_vae_score",
    "leakage",
    "mig",
    "modularity",
    "partition_scores",
    "partition_share",
    "sap",
]
