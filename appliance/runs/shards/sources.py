"""Where the items of a split come from. A source is JSON in the split's row, and says where it stands."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

from appliance.lib.digest import sha256_hex
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.plain import plain

MOST_SHARDS = 1_000_000
MOST_BYTES = 512 * 1024 * 1024
"""Of the contexts of all shards together."""
KEPT_LIST = 256 * 1024
"""Bytes of a list that the split's row keeps: a longer one is computed again after a crash, and compared."""
BATCH = 1000
BATCH_BYTES = 2 * 1024 * 1024


class NoShards(MillwrightError):
    """The step cannot be split."""

    code = "runs.no_shards"


@dataclass(frozen=True, slots=True)
class Batch:
    """Items that go into the table together, and the source as it stands after them."""

    items: list[JsonValue]
    source: JsonObject


def list_source(value: JsonValue) -> JsonObject:
    """Raises NoShards."""
    if not isinstance(value, list):
        raise NoShards(
            f"items: gave {_kind(value)}, not a list", hint="a list, or an expression that gives one"
        )
    check_count(len(value))
    size = size_of(value)
    kept = plain(value) if size <= KEPT_LIST else None
    return {"kind": "items", "count": len(value), "digest": digest_of(value), "list": kept, "bytes": size}


def digest_of(items: JsonValue) -> str:
    return sha256_hex(plain(items))


def range_source(first: JsonValue, last: JsonValue, step: JsonValue) -> JsonObject:
    """Raises NoShards."""
    start, stop, by = _whole("from", first), _whole("to", last), _whole("step", 1 if step is None else step)
    if by == 0:
        raise NoShards("range: a step of 0 never gets to the end")
    count = max(0, (stop - start) // by + 1)
    check_count(count)
    return {"kind": "range", "from": start, "step": by, "count": count, "bytes": count * len(str(stop))}


def branch_source(names: list[str]) -> JsonObject:
    listed: list[JsonValue] = list(names)
    return {"kind": "branches", "count": len(names), "names": listed, "bytes": 0}


def check_count(count: int) -> None:
    if count > MOST_SHARDS:
        raise NoShards(f"{count:,} items: a step can be split into at most {MOST_SHARDS:,}")


def check_bytes(context: int, source: JsonObject) -> None:
    """Every shard's row has its whole context: refuse before the disk is full of it. Raises NoShards."""
    count, own = int(str(source["count"])), int(str(source["bytes"]))
    if context * count + own > MOST_BYTES:
        raise NoShards(
            f"{count} shards with {context} bytes of context each, and {own} bytes of items, are more than "
            f"{MOST_BYTES // 1024 // 1024} MiB",
            hint="let the body use less of what came before, or split a shorter list",
        )


async def batches(source: JsonObject, done: int, again: Any) -> AsyncIterator[Batch]:
    """What follows the first ``done`` items. ``again`` computes a list that the row does not keep."""
    count = int(str(source["count"]))
    if source["kind"] == "range":
        first, by = int(str(source["from"])), int(str(source["step"]))
        for start in range(done, count, BATCH):
            numbers: list[JsonValue] = [first + n * by for n in range(start, min(start + BATCH, count))]
            yield Batch(numbers, source)
        return
    items = source["names"] if source["kind"] == "branches" else source["list"]
    if items is None:
        items = await again()
        if digest_of(items) != source["digest"]:
            raise NoShards("its worker stopped while the list was split, and the list is another one now")
    assert isinstance(items, list)
    for cut in _cut(items, done):
        yield Batch(cut, source)


def _cut(items: list[JsonValue], start: int) -> Iterator[list[JsonValue]]:
    taken: list[JsonValue] = []
    size = 0
    for item in items[start:]:
        taken.append(item)
        size += size_of(item)
        if len(taken) == BATCH or size > BATCH_BYTES:
            yield taken
            taken, size = [], 0
    if taken:
        yield taken


def size_of(value: JsonValue) -> int:
    """About how many bytes of JSON."""
    if isinstance(value, str):
        return len(value) + 2
    if isinstance(value, list):
        return sum(map(size_of, value)) + len(value) + 2
    if isinstance(value, dict):
        return sum(len(key) + 4 + size_of(part) for key, part in value.items()) + 2
    return 8


def _whole(name: str, value: JsonValue) -> int:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            pass
    if isinstance(value, bool) or not isinstance(value, int):
        raise NoShards(f"range: {name} is {_kind(value)}, not a whole number")
    return value


def _kind(value: JsonValue) -> str:
    words = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", type(None): "nothing"}
    return words.get(type(value), "a number")


def as_row(item: JsonValue, index: int, step: str, branch: bool) -> JsonObject:
    """What is a shard's own in its context."""
    if branch:
        return {"shard": {"step": step, "branch": item, "number": index}}
    shard: JsonObject = {"step": step, "number": index}
    row: JsonObject = {"item": plain(item), "index": index, "shard": shard}
    return row
