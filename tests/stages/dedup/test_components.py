"""Union-find over an array."""

import numpy as np
import pytest

from gritmill.stages.dedup.components import Components


@pytest.mark.parametrize("seed", range(5))
def test_components_are_those_of_a_search_of_the_graph(seed):
    rng = np.random.default_rng(seed)
    edges = rng.integers(0, 300, (200, 2))
    components = Components(300)
    for block in np.array_split(edges, 7):
        components.join(block[:, 0], block[:, 1])
    expected = list(range(300))
    for _ in range(300):
        for a, b in edges.tolist():
            expected[a] = expected[b] = min(expected[a], expected[b])
    assert components.all().tolist() == expected


def test_a_long_chain_is_one_component():
    components = Components(100_000)
    ends = np.random.default_rng(0).permutation(99_999)
    components.join(ends, ends + 1)
    assert not components.all().any()


def test_nothing_hangs_together_without_edges():
    components = Components(3)
    components.join(np.array([], np.int64), np.array([], np.int64))
    assert components.all().tolist() == [0, 1, 2]
