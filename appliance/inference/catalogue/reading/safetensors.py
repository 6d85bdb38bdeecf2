"""The head of a safetensors file, read with bounds. Format: https://github.com/huggingface/safetensors#format"""

import json
from collections import Counter
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from appliance.inference.catalogue.reading.facts import Unreadable, plain_word

_LONGEST_HEAD = 32 << 20
_MOST_ELEMENTS = 1 << 48
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16,
    "I32": 32, "U32": 32, "F32": 32, "F64": 64, "I64": 64, "U64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class SafeHead:
    """``types``: how many elements there are of each type."""

    types: Counter[str]
    names: frozenset[str]


def read_head(path: Path) -> SafeHead:
    """Raises Unreadable, OSError."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 10 or length > size - 8:
            raise Unreadable("it is cut off, or no safetensors file")
        if length > _LONGEST_HEAD:
            raise Unreadable(f"its head of {length} bytes is too long")
        head = _parsed(file.read(length))
    head.pop("__metadata__", None)
    spans: list[tuple[int, int]] = []
    types: Counter[str] = Counter()
    for name, entry in head.items():
        kind, elements, span = _entry(name, entry)
        types[kind] += elements
        spans.append(span)
    _check_spans(spans, size - 8 - length)
    return SafeHead(types, frozenset(head))


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Unreadable("its head is no JSON") from error
    if not isinstance(found, dict):
        raise Unreadable("its head is no JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Unreadable("its head has a name twice")
    return found


def _entry(name: str, entry: object) -> tuple[str, int, tuple[int, int]]:
    wrong = Unreadable(f"the entry of the tensor {plain_word(name)} is wrong")
    if not isinstance(entry, dict):
        raise wrong
    kind, shape, span = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if kind not in _BITS or not _numbers(shape) or not _numbers(span):
        raise wrong
    assert isinstance(shape, list)
    assert isinstance(span, list)
    elements = prod(shape)
    if len(span) != 2 or elements > _MOST_ELEMENTS or (span[1] - span[0]) * 8 != elements * _BITS[kind]:
        raise wrong
    return str(kind), elements, (span[0], span[1])


def _numbers(value: object) -> bool:
    return isinstance(value, list) and all(type(one) is int and 0 <= one <= _MOST_ELEMENTS for one in value)


def _check_spans(spans: list[tuple[int, int]], size: int) -> None:
    """One after the other, without a hole in which something else could lie, to the file's end."""
    at = 0
    for begin, end in sorted(spans):
        if begin != at:
            raise Unreadable("its tensors overlap, or there is a hole between them")
        at = end
    if at != size:
        raise Unreadable("it is cut off, or longer than its head says")
