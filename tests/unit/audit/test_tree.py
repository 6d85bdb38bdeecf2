"""The tree over records: every leaf can be proved, and nothing else can."""

import hashlib

import pytest

from appliance.audit.tree import EMPTY, Growing, path_of, root_by_path, root_of


def leaves(count: int) -> list[bytes]:
    return [hashlib.sha256(str(n).encode()).digest() for n in range(count)]


def by_definition(found: list[bytes]) -> bytes:
    """RFC 6962, section 2.1, word by word."""
    if not found:
        return hashlib.sha256(b"").digest()
    if len(found) == 1:
        return hashlib.sha256(b"\x00" + found[0]).digest()
    split = 1
    while split * 2 < len(found):
        split *= 2
    return hashlib.sha256(b"\x01" + by_definition(found[:split]) + by_definition(found[split:])).digest()


@pytest.mark.parametrize("count", [*range(34), 100, 257])
def test_the_root_is_that_of_the_standard_and_every_leaf_leads_to_it(count: int) -> None:
    found = leaves(count)
    root = root_of(found)
    assert root == by_definition(found)
    for index, leaf in enumerate(found):
        path = path_of(found, index)
        assert root_by_path(leaf, index, count, path) == root
        assert len(path) <= count.bit_length()


def test_no_other_leaf_place_size_or_path_leads_to_the_root() -> None:
    found = leaves(13)
    root, path = root_of(found), path_of(found, 5)
    assert root_by_path(found[6], 5, 13, path) != root
    assert root_by_path(found[5], 4, 13, path) != root
    assert root_by_path(found[5], 5, 13, path[:-1]) != root
    assert root_by_path(found[5], 5, 13, [*path, path[0]]) != root
    assert root_by_path(found[5], 5, 13, [path[1], path[0], *path[2:]]) != root
    assert root_by_path(found[5], 13, 13, path) is None
    assert root_by_path(found[5], -1, 13, path) is None


def test_a_growing_tree_forgets_nothing_and_keeps_little() -> None:
    tree = Growing()
    assert tree.root == EMPTY
    for leaf in leaves(1000):
        tree.add(leaf)
    assert tree.root == root_of(leaves(1000))
    assert len(tree._whole) <= 10
