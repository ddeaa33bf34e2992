import numpy as np
import pytest

from pythae_gated.errors import PartitionError
from pythae_gated.metrics import partition_scores, partition_share
from pythae_gated.partitions import Partitions

PARTITIONS = Partitions({"pose": 2, "person": 1, "rest": 1}, rest=["rest"])


def test_shares_sum_to_one_or_are_zero():
    importance = np.array([[0.2, 0, 0], [0.3, 0, 0], [0.5, 1, 0], [0, 0, 0]])
    share = partition_share(importance, PARTITIONS)
    assert share.tolist() == [[0.5, 0, 0], [0.5, 1, 0], [0, 0, 0]]


def test_each_factor_is_told_from_its_own_partition_alone():
    rng = np.random.default_rng(0)
    yaw, person = rng.uniform(size=1500), rng.integers(0, 5, 1500)
    noise = rng.normal(size=1500)
    codes = np.stack([noise[::-1], yaw, person, noise], axis=1)
    found = partition_scores(codes, {"yaw": yaw, "person": person}, PARTITIONS)
    assert found.scores.shape == (3, 2)
    assert found.scores[0, 0] > 0.98
    assert found.scores[1, 1] == 1
    assert found.scores[[1, 2], 0].max() < 0.05
    assert found.scores[[0, 2], 1].max() < 0.3
    assert found.chance == pytest.approx([0, 0.2], abs=0.07)


def test_a_copy_that_importance_overlooks_is_found():
    person = np.random.default_rng(0).integers(0, 5, 500)
    codes = np.stack([person, person], axis=1)
    found = partition_scores(codes, {"person": person}, Partitions({"pose": 1, "rest": 1}))
    assert (found.scores == 1).all()


def test_partitions_that_do_not_fit_are_named():
    with pytest.raises(PartitionError, match="sum to 4; the codes have 3"):
        partition_scores(np.zeros((8, 3)), {"yaw": np.arange(8)}, PARTITIONS)
    with pytest.raises(PartitionError, match="sum to 4; the codes have 3"):
        partition_share(np.zeros((3, 2)), PARTITIONS)
