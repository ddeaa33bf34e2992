from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from pythae_gated import PairedDataset
from pythae_gated.datasets.labels import encode_labels, read_labels
from pythae_gated.datasets.partners import Edges, Groups, Neighbours, draw_pairs

SETTINGS = settings(max_examples=150, deadline=None)


def groups_of(labels, unknown=None):
    return Groups(encode_labels(*read_labels(labels, "pose", unknown)))


def draw(candidates, weights, items, replace):
    rng = np.random.default_rng(0)
    return draw_pairs(candidates, np.array(weights, dtype=float), items, rng, replace=replace)


def check(source, neighbours, seed):
    """Partners are exactly the neighbours given, and samples are of items that have any."""
    rng = np.random.default_rng(seed)
    assert source.has_partner.tolist() == [bool(near) for near in neighbours]
    assert len(source) == sum(map(bool, neighbours))
    for item in np.flatnonzero(source.has_partner):
        drawn = source.partners(np.full(60, item), rng)
        assert set(drawn.tolist()) <= neighbours[item]
    if len(source):
        assert source.has_partner[source.sample(40, rng)].all()


def test_balanced_groups_are_drawn_equally_often_whatever_items_are_asked_for():
    labels = np.repeat([0, 1, 2, 3, -1], [2, 10, 100, 1, 50])
    source = Groups(labels, balanced=True)
    assert source.sizes.tolist() == [2, 10, 100]
    asked = np.full(3000, 50)  # of the largest group
    for groups in (source, source.subset(np.arange(163))):
        kinds, items, partners = draw([groups], [1, 0], asked, replace=True)
        assert not kinds.any()
        assert (labels[items] == labels[partners]).all()
        assert (items != partners).all()
        counts = np.bincount(labels[items])
        assert len(counts) == 3
        assert chisquare(counts).pvalue > 0.01
        in_ten = np.bincount(items[labels[items] == 1])[2:12]
        assert chisquare(in_ten).pvalue > 0.01
    _, items, _ = draw([source], [1, 0], asked, replace=False)
    assert (items == asked).all()


@given(
    st.integers(2, 12).flatmap(
        lambda n: st.tuples(
            st.just(n),
            st.lists(
                st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(
                    lambda pair: pair[0] != pair[1]
                ),
                min_size=1,
                max_size=30,
            ),
        )
    ),
    st.integers(0, 2**32),
)
@SETTINGS
def test_edges_pair_their_ends_both_ways(given_edges, seed):
    n, edges = given_edges
    neighbours = [set() for _ in range(n)]
    for a, b in edges:
        neighbours[a].add(b)
        neighbours[b].add(a)
    source = Edges(np.array(edges), n)
    check(source, neighbours, seed)
    chosen = np.random.default_rng(seed).permutation(n)[: max(1, n // 2)]
    place = {int(item): i for i, item in enumerate(chosen)}
    kept = [{place[b] for b in neighbours[a] if b in place} for a in chosen]
    check(source.subset(chosen), kept, seed)


@given(
    st.integers(1, 3).flatmap(
        lambda columns: st.lists(
            st.lists(
                st.one_of(st.none(), st.integers(-30, 30).map(lambda i: i / 4)),
                min_size=columns,
                max_size=columns,
            ),
            min_size=1,
            max_size=40,
        )
    ),
    st.sampled_from([0.25, 0.5, 1.0, 3.3, 100.0]),
    st.integers(0, 2**32),
)
@SETTINGS
def test_partners_within_a_tolerance_are_all_that_are_near(table, tolerance, seed):
    values = np.array(table, dtype=float)  # None is NaN
    apart = np.linalg.norm(values[:, None] - values, axis=2)
    near = apart <= tolerance * (1 + 1e-9)
    np.fill_diagonal(near, False)
    neighbours = [set(np.flatnonzero(row).tolist()) for row in near]
    source = Neighbours(values, tolerance)
    check(source, neighbours, seed)
    known = ~np.isnan(values).any(axis=1)
    assert source.n_labelled == known.sum()
    assert source.n_alone == (known & ~near.any(axis=1)).sum()
    chosen = np.random.default_rng(seed).permutation(len(values))[: max(1, len(values) // 2)]
    kept = [set(np.flatnonzero(near[i][chosen]).tolist()) for i in chosen]
    check(source.subset(chosen), kept, seed)


@pytest.mark.parametrize(("columns", "tolerance"), [(1, 2.0), (2, 2.0), (3, 3.0), (12, 8.5)])
def test_each_partner_within_the_tolerance_is_equally_likely(columns, tolerance):
    """Of 12 columns hardly a draw from the cells of three is near: partners are listed."""
    values = np.random.default_rng(0).uniform(0, 10, (200, columns))
    item = int(np.linalg.norm(values - values.mean(0), axis=1).argmin())
    source = Neighbours(values, tolerance)
    near = np.linalg.norm(values - values[item], axis=1) <= tolerance
    assert near.sum() > 5
    near[item] = False
    drawn = source.partners(np.full(20_000, item), np.random.default_rng(1))
    counts = np.bincount(drawn, minlength=200)
    assert counts[~near].sum() == 0
    assert chisquare(counts[near]).pvalue > 0.01


def test_each_edge_of_an_item_is_equally_likely_however_often_it_is_named():
    source = Edges(np.array([[0, 1], [1, 0], [0, 1], [0, 2], [3, 0]]), 5)
    counts = np.bincount(source.partners(np.zeros(30_000, dtype=int), np.random.default_rng(0)))
    assert chisquare(counts[1:]).pvalue > 0.01


def test_labels_at_just_the_tolerance_are_near():
    values = np.arange(11) / 10
    assert not Neighbours(values, 0.09).has_partner.any()
    assert Neighbours(values, 0.1).has_partner.all()
    far = 1e9 + np.arange(11) / 10
    assert Neighbours(far, 0.1).has_partner.all()


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_the_tolerance_allows_for_the_rounding_of_the_labels(kind):
    position = np.arange(32, dtype=np.float32).repeat(2)
    labels = {"pose": kind(position / np.float32(31))}
    images = np.zeros((64, 1, 2, 2), dtype=np.float32)
    for part in (slice(None), slice(20, 40)):
        pairs = PairedDataset(images, {"pose": 2}, labels, tolerance={"pose": 1 / 31})
        found = pairs.split(np.arange(64)[part])._candidates["pose"]
        items = np.arange(len(images[part])).repeat(200)
        apart = np.abs(items // 2 - found.partners(items, np.random.default_rng(0)) // 2)
        assert apart.max() == 1
        assert set(items[apart == 1] // 2) == set(items // 2)


def test_a_tiny_tolerance_over_a_wide_range():
    values = np.random.default_rng(0).uniform(-1e12, 1e12, (1000, 3))
    values[500:] = values[:500]
    partners = Neighbours(values, 1e-3).partners(np.arange(500), np.random.default_rng(0))
    assert (partners == np.arange(500, 1000)).all()


@pytest.mark.parametrize("fill", [1e20, np.finfo(float).max])
def test_a_fill_value_has_only_its_equals_as_partners(fill):
    values = np.random.default_rng(0).uniform(-1, 1, (300, 2))
    values[:3] = fill
    source = Neighbours(values, 0.5)
    drawn = source.partners(np.repeat([0, 5], 500), np.random.default_rng(1))
    assert set(drawn[:500].tolist()) == {1, 2}
    assert np.linalg.norm(values[drawn[500:]] - values[5], axis=1).max() <= 0.5


def test_a_lone_partner_beside_a_crowd_is_found():
    """Draws from the cells around are almost never near, so partners are listed."""
    values = np.concatenate([[[0.0], [0.5]], np.full((5000, 1), 1.7)])
    source = Neighbours(values, 1.0)
    assert source.partners(np.zeros(20, dtype=int), np.random.default_rng(0)).tolist() == [1] * 20


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_few_items_need_a_list_of_their_neighbours(columns):
    source = Neighbours(np.random.default_rng(0).uniform(0, 10, (20_000, columns)), 1.0)
    tree, listed = source._tree, []

    def query(labels, radius, **options):
        listed.extend(labels)
        return tree.query_ball_point(labels, radius, **options)

    source._tree = SimpleNamespace(query_ball_point=query)
    source.partners(source.sample(2000, np.random.default_rng(0)), np.random.default_rng(1))
    assert len(listed) < 20


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
    groups = groups_of(table)
    rng = np.random.default_rng(seed)
    rows = [tuple(row) for row in table]
    for item, row in enumerate(rows):
        others = [i for i, other in enumerate(rows) if other == row and i != item]
        can = None not in row and bool(others)
        assert groups.has_partner[item] == can
        if can:
            partners = groups.partners(np.full(200, item), rng)
            assert set(partners.tolist()) <= set(others)
    if len(groups):
        assert groups.has_partner[groups.sample(50, rng)].all()
    alone = [row for row in rows if None not in row and rows.count(row) == 1]
    assert groups.n_alone == len(alone)
    assert groups.n_labelled == sum(None not in row for row in rows)


def test_each_partner_is_equally_likely():
    groups = groups_of([0, 1, 0, 0, 1, 0, 2])
    partners = groups.partners(np.full(30_000, 2), np.random.default_rng(0))
    counts = np.bincount(partners, minlength=7)
    assert counts[[1, 2, 4, 6]].sum() == 0
    assert chisquare(counts[[0, 3, 5]]).pvalue > 0.01


def test_kinds_follow_the_weights_however_few_are_labelled():
    labels = np.full(1000, -1)
    labels[:10] = 0
    candidates = [groups_of(labels, -1), groups_of(np.arange(1000) % 7)]
    asked = np.random.default_rng(1).integers(1000, size=60_000)
    kinds, items, partners = draw(candidates, [2, 1, 3], asked, replace=True)
    assert chisquare(np.bincount(kinds), [20_000, 10_000, 30_000]).pvalue > 0.01
    pose = kinds == 0
    assert (items[pose] < 10).all()
    assert (partners[pose] < 10).all()
    assert chisquare(np.bincount(items[pose])).pvalue > 0.01
    assert (items[kinds == 2] == partners[kinds == 2]).all()
    assert (items[kinds == 1] % 7 == partners[kinds == 1] % 7).all()


def test_a_weight_of_zero_is_never_drawn():
    groups = groups_of([0, 0, 1, 1])
    kinds, _, _ = draw([groups], [1, 0], np.zeros(1000, dtype=np.int64), replace=True)
    assert (kinds == 0).all()


def test_frozen_pairs_keep_to_kinds_that_an_item_can_take_part_in():
    groups = groups_of([0, 0, 1, -1] * 250, -1)
    lone = groups_of([0, 0, 1, 2])
    kinds, items, partners = draw([groups], [1, 1], np.arange(1000), replace=False)
    assert (items == np.arange(1000)).all()
    unknown = np.arange(1000) % 4 == 3
    assert (kinds[unknown] == 1).all()
    assert 300 < (kinds[~unknown] == 0).sum() < 450
    assert ((partners == np.arange(1000)) == (kinds == 1)).all()
    kinds, _, partners = draw([lone], [1, 0], np.arange(4), replace=False)
    assert kinds.tolist() == [0, 0, 1, 1]
    assert partners.tolist() == [1, 0, 2, 3]
