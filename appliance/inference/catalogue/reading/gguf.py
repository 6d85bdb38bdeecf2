"""The head of a GGUF file, read with bounds; its weights are never touched.

gguf's own reader believes every number in a file: a length of 2**60 keeps it busy until memory ends. Its tables of
types are used, and tests compare what both read. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

import mmap
import struct
from collections import Counter
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

from appliance.inference.catalogue.manifest import Shape
from appliance.inference.catalogue.reading.facts import Unreadable, head_size, knows_tools, plain_word, whole

Value = str | int | float | bool | list[int]

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_MOST_ENTRIES, _MOST_TENSORS, _MOST_DIMENSIONS = 1 << 16, 1 << 16, 4
_LONGEST_NAME, _LONGEST_TEXT, _LONGEST_ARRAY = 1 << 10, 16 << 20, 1 << 24
_KEPT_OF_ARRAY = 4096
_MOST_ELEMENTS = 1 << 48
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_POOLED = (1, 2, 3)
"""Mean, first token, last token; 4 is a reranker, whose answer is no vector."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """``shape`` as the file has it: the length of a row first."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int

    @property
    def elements(self) -> int:
        return prod(self.shape)


@dataclass(slots=True)
class Head:
    """Texts and numbers by key; of lists the first few numbers, of lists of texts nothing."""

    values: dict[str, Value] = field(default_factory=dict)
    tensors: list[Tensor] = field(default_factory=list)

    def own(self, key: str) -> Value | None:
        """Of the file's architecture: ``context_length`` for ``llama.context_length``."""
        return self.values.get(f"{self.values.get('general.architecture')}.{key}")


class _Cursor:
    def __init__(self, data: mmap.mmap) -> None:
        self._data, self._size, self.at = data, len(data), 0

    def take(self, count: int) -> bytes:
        start = self.at
        if count < 0 or start + count > self._size:
            raise Unreadable("it ends in the middle of its head")
        self.at += count
        return self._data[start : self.at]

    def number(self, code: str) -> int:
        return int(struct.unpack(f"<{code}", self.take(struct.calcsize(code)))[0])

    def text(self, longest: int) -> str:
        length = self.number("Q")
        if length > longest:
            raise Unreadable(f"a text of {length} bytes in its head is too long")
        try:
            return self.take(length).decode()
        except UnicodeDecodeError as error:
            raise Unreadable("a text in its head is not UTF-8") from error


def read_head(path: Path) -> Head:
    """Raises Unreadable, OSError."""
    with path.open("rb") as file:
        if path.stat().st_size < 24:
            raise Unreadable("it is too short for a GGUF file")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _head(_Cursor(data), len(data))


def _head(cursor: _Cursor, size: int) -> Head:
    if cursor.take(4) != _MAGIC:
        raise Unreadable("it is no GGUF file")
    version = cursor.number("I")
    if version not in _VERSIONS:
        raise Unreadable(f"it is GGUF of version {version}; 2 and 3 are known")
    tensors, entries = cursor.number("Q"), cursor.number("Q")
    if entries > _MOST_ENTRIES or tensors > _MOST_TENSORS:
        raise Unreadable(f"its head promises {entries} entries and {tensors} tensors, which no model has")
    head = Head()
    for _ in range(entries):
        key = cursor.text(_LONGEST_NAME)
        if key in head.values:
            raise Unreadable(f"its head has {plain_word(key)} twice")
        head.values[key] = _value(cursor, cursor.number("I"))
    head.tensors = [_tensor(cursor) for _ in range(tensors)]
    _check_tensors(head, cursor.at, size)
    return head


def _value(cursor: _Cursor, kind: int) -> Value:
    if kind == _STRING:
        return cursor.text(_LONGEST_TEXT)
    if kind == _ARRAY:
        return _array(cursor)
    code = _SCALARS.get(kind)
    if code is None:
        raise Unreadable(f"its head has a value of the unknown kind {kind}")
    value: int | float | bool = struct.unpack(f"<{code}", cursor.take(struct.calcsize(code)))[0]
    return value


def _array(cursor: _Cursor) -> list[int]:
    kind, length = cursor.number("I"), cursor.number("Q")
    if length > _LONGEST_ARRAY:
        raise Unreadable(f"a list of {length} values in its head is too long")
    if kind == _STRING:
        for _ in range(length):
            cursor.take(cursor.number("Q"))
        return []
    code = _SCALARS.get(kind)
    if code is None:
        raise Unreadable(f"its head has a list of the unknown kind {kind}")
    taken = cursor.take(length * struct.calcsize(code))
    if code in "fd":
        return []
    kept = min(length, _KEPT_OF_ARRAY)
    return list(struct.unpack(f"<{kept}{code}", taken[: kept * struct.calcsize(code)]))


def _tensor(cursor: _Cursor) -> Tensor:
    name = cursor.text(_LONGEST_NAME)
    dimensions = cursor.number("I")
    if not 1 <= dimensions <= _MOST_DIMENSIONS:
        raise Unreadable(f"the tensor {plain_word(name)} has {dimensions} dimensions")
    shape = tuple(cursor.number("Q") for _ in range(dimensions))
    found = Tensor(name, shape, cursor.number("I"), cursor.number("Q"))
    if not all(shape) or found.elements > _MOST_ELEMENTS:
        raise Unreadable(f"the tensor {plain_word(name)} has an impossible size")
    return found


def _check_tensors(head: Head, end_of_head: int, size: int) -> None:
    """Each lies in the file, at its alignment, under a name of its own."""
    from gguf import GGML_QUANT_SIZES, GGUF_DEFAULT_ALIGNMENT, GGMLQuantizationType

    alignment = head.values.get("general.alignment", GGUF_DEFAULT_ALIGNMENT)
    if not isinstance(alignment, int) or not 0 < alignment <= 1 << 20 or alignment & (alignment - 1):
        raise Unreadable("its alignment is no power of two")
    start = -(-end_of_head // alignment) * alignment
    names = set()
    for one in head.tensors:
        try:
            block, bytes_ = GGML_QUANT_SIZES[GGMLQuantizationType(one.kind)]
        except (ValueError, KeyError) as error:
            raise Unreadable(
                f"the tensor {plain_word(one.name)} is of the unknown type {one.kind}"
            ) from error
        if one.shape[0] % block or one.offset % alignment or one.name in names:
            raise Unreadable(f"the entry of the tensor {plain_word(one.name)} is wrong")
        names.add(one.name)
        if start + one.offset + one.elements // block * bytes_ > size:
            raise Unreadable(f"it is cut off: the tensor {plain_word(one.name)} ends behind the file's end")


def facts_of(head: Head) -> dict[str, object]:
    """The part of ``Facts`` that one file can say."""
    template = head.values.get("tokenizer.chat_template")
    template = template if isinstance(template, str) else ""
    heads, width = whole(head.own("attention.head_count")), whole(head.own("embedding_length"))
    return {
        "architecture": plain_word(head.values.get("general.architecture")),
        "parameters": sum(one.elements for one in head.tensors) or None,
        "quantisation": _quantisation(head),
        "context": whole(head.own("context_length")),
        "shape": Shape(
            layers=whole(head.own("block_count")),
            kv_heads=whole(head.own("attention.head_count_kv")) or heads,
            head_size=head_size(whole(head.own("attention.key_length")), width, heads),
        ),
        "chat_template": bool(template),
        "tools": knows_tools(template),
        "embeddings": head.own("pooling_type") in _POOLED,
        "licence": plain_word(head.values.get("general.license")),
    }


def _quantisation(head: Head) -> str:
    """By the file's own word, else the type that most of its weights have."""
    from gguf import GGMLQuantizationType, LlamaFileType

    said = head.values.get("general.file_type")
    try:
        named = LlamaFileType(said).name if isinstance(said, int) else ""
    except ValueError:
        named = ""
    if named and named != "GUESSED":
        return named.removeprefix("MOSTLY_").removeprefix("ALL_")
    weights: Counter[int] = Counter()
    for one in head.tensors:
        weights[one.kind] += one.elements
    return GGMLQuantizationType(weights.most_common(1)[0][0]).name if weights else ""
