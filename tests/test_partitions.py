import copy
import pickle

import numpy as np
import pytest
import torch

from pythae_gated import GateError, PartitionError, Partitions


@pytest.fixture
def partitions():
    return Partitions({"pose": 2, "expression": 1, "identity": 3}, rest=["identity"])


def test_reads_sizes_in_order(partitions):
    assert partitions.names == ("pose", "expression", "identity")
    assert partitions.sizes == {"pose": 2, "expression": 1, "identity": 3}
    assert partitions.rest == ("identity",)
    assert partitions.latent_dim == 6
    assert partitions.slices == {
        "pose": slice(0, 2),
        "expression": slice(2, 3),
        "identity": slice(3, 6),
    }


def test_names_are_iterated(partitions):
    assert [name for name in partitions if name != "pose"] == ["expression", "identity"]
    assert "pose" in partitions
    assert "hair" not in partitions


def test_numpy_sizes_become_ints():
    sizes = Partitions({"a": np.int64(2)}).sizes
    assert type(sizes["a"]) is int


def test_is_immutable_hashable_and_compared_with_its_order(partitions):
    with pytest.raises(AttributeError, match="cannot assign"):
        partitions.rest = ()
    partitions.sizes["pose"] = 99
    assert partitions.sizes["pose"] == 2
    same = Partitions(partitions.sizes, partitions.rest)
    assert same == partitions
    assert hash(same) == hash(partitions)
    assert Partitions({"a": 1, "b": 1}) != Partitions({"b": 1, "a": 1})
    assert Partitions(partitions.sizes) != partitions


@pytest.mark.parametrize("again", [copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))])
def test_survives_copies_and_pickles(partitions, again):
    assert again(partitions) == partitions


def test_repr_builds_it_again(partitions):
    assert eval(repr(partitions)) == partitions


def test_expand_spreads_a_gate_over_dimensions(partitions):
    gate = torch.tensor([[True, False, True], [False, True, False]])
    expected = [[1, 1, 0, 1, 1, 1], [0, 0, 1, 0, 0, 0]]
    spread = partitions.expand(gate)
    assert spread.dtype == torch.bool
    assert spread.int().tolist() == expected


@pytest.mark.parametrize("shape", [(4, 2), (4, 6), (3,), (4, 3, 1)])
def test_expand_refuses_other_shapes(partitions, shape):
    with pytest.raises(GateError, match=r"expected \(B, 3\), one column for each"):
        partitions.expand(torch.ones(shape, dtype=torch.bool))


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        ([], [1, 1, 1, 1, 1, 1]),
        (["identity"], [1, 1, 1, 0, 0, 0]),
        (["identity", "pose"], [0, 0, 1, 0, 0, 0]),
    ],
)
def test_zero_rest_leaves_the_codes_given_as_they_are(partitions, rest, expected):
    codes = torch.ones(2, 6)
    assert Partitions(partitions.sizes, rest).zero_rest(codes).tolist() == [expected] * 2
    assert (codes == 1).all()


def test_split_cuts_codes(partitions):
    z = torch.arange(12.0).reshape(2, 6)
    parts = partitions.split(z)
    assert list(parts) == ["pose", "expression", "identity"]
    assert torch.equal(torch.cat(list(parts.values()), 1), z)
    assert parts["expression"].tolist() == [[2.0], [8.0]]


def test_split_refuses_other_widths(partitions):
    with pytest.raises(PartitionError, match=r"\(2, 5\): expected 6"):
        partitions.split(torch.zeros(2, 5))


def test_resolve_takes_one_name_or_several(partitions):
    assert partitions.resolve("pose") == ("pose",)
    assert partitions.resolve(["identity", "pose", "identity"]) == ("identity", "pose")
    with pytest.raises(PartitionError, match="named 'poses'; the partitions are pose"):
        partitions.resolve("poses")


@pytest.mark.parametrize(
    ("sizes", "rest", "match"),
    [
        ({}, (), "mapping from name to size"),
        ([("pose", 2)], (), "mapping from name to size"),
        ({"pose": 0}, (), "'pose' must be an int of at least 1; got 0"),
        ({"pose": -2}, (), "got -2"),
        ({"pose": "3"}, (), "got '3'"),
        ({"pose": True}, (), "got True"),
        ({"pose": 2.0}, (), r"got 2\.0"),
        ({"pose": None}, (), "got None"),
        ({"self": 2}, (), "a partition cannot be named 'self'"),
        ({"": 2}, (), "must be non-empty strings; got ''"),
        ({3: 2}, (), "got 3"),
        ({"pose": 2}, ["poses"], "rest: no partition is named 'poses'"),
        ({"pose": 2}, "pose", r"write rest=\['pose'\]"),
    ],
)
def test_refuses_what_does_not_fit(sizes, rest, match):
    with pytest.raises(PartitionError, match=match):
        Partitions(sizes, rest)
