import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from pythae_gated import PairingError
from pythae_gated.datasets.labels import encode_labels
from pythae_gated.datasets.pairing import Pairing
from pythae_gated.datasets.partners import Groups


class Frame:  # what numpy sees of a data frame's column
    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype or object)


@pytest.mark.parametrize(
    ("labels", "codes"),
    [
        ([3, 1, 3], [0, 1, 0]),
        (["b", "a", "b", None], [0, 1, 0, -1]),
        (["nan", float("nan"), "nan"], [0, -1, 0]),
        ([1.5, None, 1.5, float("nan")], [0, -1, 0, -1]),
        (np.array([3, 1, 3]), [1, 0, 1]),
        (np.array([0.5, np.nan, 0.5]), [0, -1, 0]),
        (np.array(["b", "a", "b"]), [1, 0, 1]),
        (np.array(["b", None, "b"], dtype=object), [0, -1, 0]),
        (torch.tensor([True, False, True]), [1, 0, 1]),
        (Frame(["b", None, "b"]), [0, -1, 0]),
        (np.array(["2001-01-01", "NaT"], dtype="datetime64[D]"), [0, -1]),
    ],
)
def test_labels_of_every_type_are_numbered(labels, codes):
    assert encode_labels(labels, "pose").tolist() == codes


def test_columns_must_all_agree():
    table = np.array([[0, 1], [0, 1], [0, 2], [1, 2]])
    assert encode_labels(table, "pose").tolist() == [0, 0, 1, 2]
    holes = [["a", 1], ["a", None], [None, 1], ["a", 1], ["b", 1]]
    codes = encode_labels(holes, "pose")
    assert codes[0] == codes[3] >= 0
    assert codes.tolist()[1:3] == [-1, -1]
    assert codes[4] not in (codes[0], -1)


def test_a_value_can_mean_unknown():
    assert encode_labels(np.array([-1, 5, 5]), "pose", unknown=-1).tolist() == [-1, 0, 0]
    assert encode_labels(["", "a", None], "pose", unknown="").tolist() == [-1, 0, -1]
    assert encode_labels(torch.tensor([[1, -1], [1, 2]]), "pose", unknown=-1).tolist() == [-1, 0]


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        ([None, float("nan")], "all 2 labels of 'pose' are unknown; leave its factor out"),
        (np.zeros((2, 2, 2)), r"'pose' have shape \(2, 2, 2\)"),
        (3, r"'pose' have shape \(\)"),
        ([], r"'pose' have shape \(0,\)"),
    ],
)
def test_labels_that_say_nothing_are_refused(labels, match):
    with pytest.raises(PairingError, match=match):
        encode_labels(labels, "pose")


tables = st.integers(1, 40).flatmap(
    lambda n: st.lists(
        st.lists(st.one_of(st.none(), st.integers(0, 5)), min_size=n, max_size=n),
        min_size=1,
        max_size=3,
    )
)


@given(tables, st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_partners_agree_are_others_and_are_known(columns, seed):
    table = np.array(columns, dtype=object).T
    try:
        groups = Groups(encode_labels(table, "pose"))
    except PairingError:
        assert all(any(value is None for value in row) for row in table)
        return
    rng = np.random.default_rng(seed)
    rows = [tuple(row) for row in table]
    for item, row in enumerate(rows):
        others = [i for i, other in enumerate(rows) if other == row and i != item]
        can = None not in row and bool(others)
        assert groups.has_partner(np.array([item]))[0] == can
        if can:
            partners = groups.partners(np.full(200, item), rng)
            assert set(partners.tolist()) <= set(others)
    if len(groups):
        assert groups.has_partner(groups.stand_ins(50, rng)).all()
    alone = [row for row in rows if None not in row and rows.count(row) == 1]
    assert groups.n_alone == len(alone)
    assert groups.n_labelled == sum(None not in row for row in rows)


def test_each_partner_is_equally_likely():
    groups = Groups(encode_labels([0, 1, 0, 0, 1, 0, 2], "pose"))
    partners = groups.partners(np.full(30_000, 2), np.random.default_rng(0))
    counts = np.bincount(partners, minlength=7)
    assert counts[[1, 2, 4, 6]].sum() == 0
    assert chisquare(counts[[0, 3, 5]]).pvalue > 0.01


def test_kinds_follow_the_weights_however_few_are_labelled():
    labels = np.full(1000, -1)
    labels[:10] = 0
    sources = {
        "pose": Groups(encode_labels(labels, "pose", unknown=-1)),
        "expression": Groups(encode_labels(np.arange(1000) % 7, "expression")),
    }
    pairing = Pairing(sources, {"pose": 2.0, "expression": 1.0, "self": 3.0})
    kinds, items, partners = pairing.draw(
        np.random.default_rng(1).integers(1000, size=60_000), np.random.default_rng(0)
    )
    assert chisquare(np.bincount(kinds), [20_000, 10_000, 30_000]).pvalue > 0.01
    pose = kinds == 0
    assert (items[pose] < 10).all()
    assert (partners[pose] < 10).all()
    assert chisquare(np.bincount(items[pose])).pvalue > 0.01
    assert (items[kinds == 2] == partners[kinds == 2]).all()
    assert (items[kinds == 1] % 7 == partners[kinds == 1] % 7).all()


def test_a_weight_of_zero_is_never_drawn():
    groups = Groups(encode_labels([0, 0, 1, 1], "pose"))
    pairing = Pairing({"pose": groups}, {"pose": 1.0, "self": 0.0})
    kinds, _, _ = pairing.draw(np.zeros(1000, dtype=np.int64), np.random.default_rng(0))
    assert (kinds == 0).all()


def test_frozen_pairs_keep_to_kinds_that_an_item_can_take_part_in():
    groups = Groups(encode_labels(np.array([0, 0, 1, -1] * 250), "pose", unknown=-1))
    lone = Groups(encode_labels(np.array([0, 0, 1, 2]), "pose"))
    pairing = Pairing({"pose": groups}, {"pose": 1.0, "self": 1.0})
    kinds, partners = pairing.freeze(1000, np.random.default_rng(0))
    unknown = np.arange(1000) % 4 == 3
    assert (kinds[unknown] == 1).all()
    assert 300 < (kinds[~unknown] == 0).sum() < 450
    assert ((partners == np.arange(1000)) == (kinds == 1)).all()
    only = Pairing({"pose": lone}, {"pose": 1.0, "self": 0.0})
    kinds, partners = only.freeze(4, np.random.default_rng(0))
    assert kinds.tolist() == [0, 0, 1, 1]
    assert partners.tolist() == [1, 0, 2, 3]
