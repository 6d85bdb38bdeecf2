"""Merkle trees over the hashes of records (RFC 6962, section 2.1): pure.

A signed head carries the root over the records that it is the first to sign. So one record can be proved with a few
hashes beside it, and nothing has to be shown of the records around it.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

EMPTY = hashlib.sha256(b"").digest()


def _leaf(record_hash: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + record_hash).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(slots=True)
class Growing:
    """The root of leaves that come one by one; memory grows with the logarithm of their number."""

    count: int = 0
    _whole: list[tuple[int, bytes]] = field(default_factory=list)

    def add(self, record_hash: bytes) -> None:
        """Subtrees of equal size are joined at once."""
        size, found = 1, _leaf(record_hash)
        while self._whole and self._whole[-1][0] == size:
            found = _node(self._whole.pop()[1], found)
            size *= 2
        self._whole.append((size, found))
        self.count += 1

    @property
    def root(self) -> bytes:
        if not self._whole:
            return EMPTY
        found = self._whole[-1][1]
        for _, left in reversed(self._whole[:-1]):
            found = _node(left, found)
        return found


def root_of(record_hashes: Iterable[bytes]) -> bytes:
    tree = Growing()
    for one in record_hashes:
        tree.add(one)
    return tree.root


def path_of(record_hashes: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes beside the way from leaf ``index`` (from 0) to the root, the lowest first."""
    if len(record_hashes) <= 1:
        return []
    split = 1 << (len(record_hashes) - 1).bit_length() - 1
    left, right = record_hashes[:split], record_hashes[split:]
    if index < split:
        return [*path_of(left, index), root_of(right)]
    return [*path_of(right, index - split), root_of(left)]


def root_by_path(record_hash: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that leaf ``index`` of ``size`` leads to by ``path`` (RFC 9162, section 2.1.3.2); None: not a path."""
    if not 0 <= index < size:
        return None
    found, at, last = _leaf(record_hash), index, size - 1
    for beside in path:
        if last == 0:
            return None
        if at & 1 or at == last:
            found = _node(beside, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = _node(found, beside)
        at, last = at >> 1, last >> 1
    return found if last == 0 else None
