"""The hot tier: values that this process has read already, each known by the place of its write in the journal.

It never answers alone. Each read asks the database which write is the last one, in the query that would bring the
value, and the value itself comes only if it is another one: so a reader always has the last committed value, and is
spared the transport and the parsing of what has not changed (docs/decisions/0010-kept-values.md has the figures).
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from appliance.lib.jsontypes import JsonValue

MOST_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Held:
    seq: int
    size: int
    value: JsonValue


@dataclass(frozen=True, slots=True)
class Question:
    """Keys, and which write of each this process has; ``parameters`` are those of sql.READ."""

    held: dict[str, Held | None]

    @property
    def parameters(self) -> dict[str, list[str] | list[int]]:
        known = [held.seq if held else -1 for held in self.held.values()]
        return {"keys": list(self.held), "seqs": known}


class HotTier:
    """Bounded by the length of the values' texts; what was used last stays. Values are shared: do not change them."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._bytes = 0
        self._known: OrderedDict[str, Held] = OrderedDict()
        self._lock = threading.Lock()

    def ask(self, keys: Collection[str]) -> Question:
        with self._lock:
            return Question({key: self._known.get(key) for key in keys})

    def answer(self, question: Question, rows: Iterable[tuple[str, int, str | None]]) -> dict[str, JsonValue]:
        """The values of the rows that sql.READ gave for the question."""
        found: dict[str, JsonValue] = {}
        for key, seq, text in rows:
            # What the question held, not what is held by now: another thread may have read a later write since.
            held = question.held[key]
            if text is None:
                found[key] = held.value if held else None
            else:
                found[key] = json.loads(text)
                self._keep(key, Held(seq, len(text), found[key]))
        return found

    def clear(self) -> None:
        with self._lock:
            self._known.clear()
            self._bytes = 0

    def _keep(self, key: str, held: Held) -> None:
        with self._lock:
            before = self._known.pop(key, None)
            self._bytes += held.size - (before.size if before else 0)
            self._known[key] = held
            while self._bytes > self._most:
                _, dropped = self._known.popitem(last=False)
                self._bytes -= dropped.size


HOT = HotTier()
