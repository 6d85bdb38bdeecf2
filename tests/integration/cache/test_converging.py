"""Whatever is edited, synced and killed in whatever order: both boxes end alike, and no edit is lost."""

from collections import defaultdict
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import strategies as st

from appliance.cache.domain import Choice, Policy
from appliance.cache.errors import PeerAway
from appliance.cache.meeting import Surroundings
from appliance.cache.offering import PATIENCE
from appliance.cache.stamps import tick
from appliance.cache.store import Agreed, agree, decide_conflict, place, read_entry, read_peer, write_of
from appliance.lib.jsontypes import JsonValue
from tests.integration.cache.pair import Box, Crash, Pair
from tests.searching import search

pytestmark = pytest.mark.django_db(transaction=True)

KEYS = ("local/k", "remote/k", "newest/k", "ask/k", "merge/k")
RULES: list[tuple[str, Policy, list[str]]] = [(f"{policy.value}/", policy, []) for policy in Policy]

edits = st.tuples(st.just("edit"), st.sampled_from(["near", "far"]), st.sampled_from(KEYS))
removals = st.tuples(st.just("remove"), st.sampled_from(["near", "far"]), st.sampled_from(KEYS))
syncs = st.tuples(st.just("sync"), st.sampled_from(["near", "far"]), st.integers(0, 60))
deaf = st.tuples(st.just("deaf"), st.sampled_from(KEYS), st.just(0))
lost = st.tuples(st.just("lose answer"), st.just("far"), st.just(0))
waits = st.tuples(st.just("wait"), st.just(""), st.integers(1, 30))
steps = st.lists(st.one_of(edits, edits, removals, syncs, syncs, lost, deaf, waits), max_size=25)


@dataclass
class Witness:
    """Remembers every edit, and which value it was made over."""

    count: int = 0
    failed: int = 0
    made: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    over: dict[int, set[int]] = field(default_factory=dict)
    removed: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    def edit(self, box: Box, key: str) -> None:
        self.count += 1
        before = box.value(key)
        self.made[key].add(self.count)
        self.over[self.count] = numbers(before)
        # Below ``merge/`` each box has a field of its own and both share one.
        if key.startswith("merge/"):
            fields = dict(before) if isinstance(before, dict) else {}
            name = box.name if self.count % 3 else "shared"
            box.write(key, {**fields, name: self.count})
        else:
            box.write(key, self.count)

    def with_ancestors(self, found: set[int]) -> set[int]:
        seen: set[int] = set()
        queue = list(found)
        while queue:
            one = queue.pop()
            if one not in seen:
                seen.add(one)
                queue += self.over.get(one, ())
        return seen


def numbers(value: JsonValue) -> set[int]:
    """The edits that a value shows."""
    if isinstance(value, dict):
        return {one for field in value.values() for one in numbers(field)}
    return {value} if isinstance(value, int) else set()


def play(pair: Pair, witness: Witness, step: tuple[str, str, object]) -> None:
    match step:
        case ("edit", box, str(key)):
            witness.edit(getattr(pair, box), key)
        case ("remove", box, str(key)):
            where: Box = getattr(pair, box)
            before = numbers(where.value(key))
            if before:
                # What is removed on purpose was known to whoever removed it.
                witness.removed[key] |= before
                where.write(key, None, deleted=True)
        case ("sync", box, int(left)):
            getattr(pair, box).faults.left = left
            crash_or_sync(pair)
        case ("lose answer", _, _):
            pair.peer.lose_answer = True
            crash_or_sync(pair)
            pair.peer.lose_answer = False
        case ("deaf", str(key), _) if witness.failed < PATIENCE - 1:
            # Once more, and the peer's failures would park the edit.
            witness.failed += 1
            pair.peer.deaf = {key}
            crash_or_sync(pair)
            pair.peer.deaf = set()
        case ("wait", _, int(seconds)):
            pair.pass_time(seconds)


def crash_or_sync(pair: Pair) -> None:
    try:
        pair.sync()
    except (Crash, PeerAway):
        pass
    pair.near.faults.left = pair.far.faults.left = None


def decide_all(pair: Pair) -> None:
    """A person takes this box's value of every open conflict."""
    rows = pair.near.sql("SELECT id, key, theirs::text FROM cache_cacheconflict WHERE decided_at IS NULL")
    for conflict, key, theirs in rows:
        with pair.near.begin() as cursor:
            state = read_peer(cursor, pair.peer_id)
            assert state is not None
            around = Surroundings(state, "near", pair.near.clock.now())
            other, entry = write_of(theirs), read_entry(cursor, key, lock=True)
            assert other is not None
            assert entry is not None
            stamp = tick(around.now, "near", entry.write.stamp, other.stamp)
            place(cursor, replace(entry.write, stamp=stamp), entry)
            agree(cursor, pair.peer_id, key, Agreed(other))
            decide_conflict(cursor, conflict, Choice.MINE, "user:t", around.now)


@given(steps)
@search(60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@example(
    [
        ("edit", "near", "newest/k"),
        ("lose answer", "far", 0),
        ("edit", "far", "newest/k"),
        ("edit", "near", "newest/k"),
    ]
)
@example(
    [("edit", "near", "local/k"), ("deaf", "local/k", 0), ("edit", "near", "local/k"), ("deaf", "local/k", 0)]
)
def test_both_boxes_end_alike_and_no_edit_is_lost(both: Pair, script: list[tuple[str, str, object]]) -> None:
    both.reset()
    both.rules(*RULES)
    witness = Witness()
    for step in script:
        play(both, witness, step)
    both.settle()
    decide_all(both)
    both.settle()
    assert both.near.everything() == both.far.everything()
    assert both.parked() == []
    rows = both.near.sql("SELECT key, mine->'value', theirs->'value', decided_at FROM cache_cacheconflict")
    assert all(decided for *_, decided in rows)
    for key in KEYS:
        shown = numbers(both.near.value(key)) | witness.removed[key]
        for where, mine, theirs, _ in rows:
            if where == key:
                shown |= numbers(mine) | numbers(theirs)
        assert witness.made[key] <= witness.with_ancestors(shown), key
