import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from pythae_gated import PairingError
from pythae_gated.datasets.labels import as_numbers
from pythae_gated.datasets.partners import Edges, Neighbours

SETTINGS = settings(max_examples=150, deadline=None)


def check(source, neighbours, seed):
    """Partners are just the neighbours given, and stand-ins are those who have any."""
    rng = np.random.default_rng(seed)
    items = np.arange(len(neighbours))
    assert source.has_partner(items).tolist() == [bool(near) for near in neighbours]
    assert len(source) == sum(map(bool, neighbours))
    for item in np.flatnonzero(source.has_partner(items)):
        drawn = source.partners(np.full(60, item), rng)
        assert set(drawn.tolist()) <= neighbours[item]
    if len(source):
        assert source.has_partner(source.stand_ins(40, rng)).all()


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
    check(source.take(chosen), kept, seed)


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
    try:
        values = as_numbers(table, "pose")
    except PairingError:
        assert all(None in row for row in table)
        return
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
    check(source.take(chosen), kept, seed)


@pytest.mark.parametrize("columns", [1, 2])
@pytest.mark.parametrize("rounds", [0, 100])
def test_each_partner_within_the_tolerance_is_equally_likely(columns, rounds, monkeypatch):
    monkeypatch.setattr(Neighbours, "_rounds", rounds)
    values = np.random.default_rng(0).uniform(0, 10, (200, columns))
    item = int(np.linalg.norm(values - values.mean(0), axis=1).argmin())
    source = Neighbours(values, 2.0)
    near = np.linalg.norm(values - values[item], axis=1) <= 2.0
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
    values = as_numbers(np.arange(11) / 10, "pose")
    assert not Neighbours(values, 0.09).has_partner(np.arange(11)).any()
    assert Neighbours(values, 0.1).has_partner(np.arange(11)).all()
    far = as_numbers(1e9 + np.arange(11) / 10, "pose")
    assert Neighbours(far, 0.1).has_partner(np.arange(11)).all()


def test_a_tiny_tolerance_over_a_wide_range():
    values = np.random.default_rng(0).uniform(-1e12, 1e12, (1000, 3))
    values[500:] = values[:500]
    partners = Neighbours(values, 1e-3).partners(np.arange(500), np.random.default_rng(0))
    assert (partners == np.arange(500, 1000)).all()
