"""Two boxes on the real database, without a wire: what sync does, step by step."""

import json
from datetime import timedelta
from typing import Any

import pytest

from appliance.cache.domain import Policy
from appliance.cache.errors import PeerAway
from appliance.cache.offering import PATIENCE
from appliance.cache.receiving import receive
from appliance.cache.stamps import Stamp
from appliance.cache.wire import document_of, message_of
from tests.database import connect
from tests.integration.cache.pair import LARGEST, Crash, Pair

pytestmark = pytest.mark.django_db(transaction=True)


def edit_both(pair: Pair, key: str, mine: Any, theirs: Any, *, began: Any = 0) -> None:
    """Both start from one value, and change it while the link is cut."""
    pair.near.write(key, began)
    pair.sync()
    pair.pass_time()
    pair.near.write(key, mine)
    pair.pass_time()
    pair.far.write(key, theirs)
    pair.pass_time()


def test_a_value_arrives_with_its_origin_and_its_time(pair: Pair) -> None:
    pair.near.write("k", {"a": ["温", None]})
    pair.far.write("other", 2)
    pair.sync()
    assert pair.near.everything() == pair.far.everything()
    here, there = pair.near.entry("k"), pair.far.entry("k")
    assert here is not None
    assert there is not None
    assert (there.value, there.stamp, there.at, there.by) == (here.value, here.stamp, here.at, "user:t")
    assert there.stamp.origin == "near"


def test_a_removal_arrives_too(pair: Pair) -> None:
    pair.near.write("k", 1)
    pair.sync()
    pair.far.write("k", None, deleted=True)
    pair.settle()
    entry = pair.near.entry("k")
    assert entry is not None
    assert entry.deleted


def test_what_is_at_rest_is_not_sent_again(pair: Pair) -> None:
    for number in range(250):
        pair.near.write(f"k{number}", number)
    assert pair.sync().pushed == 250
    pair.sync()
    before = pair.peer.calls
    again = pair.sync()
    assert (again.pushed, again.pulled, pair.peer.calls - before) == (0, 0, 1)


def test_the_journal_is_never_longer_than_there_are_keys(pair: Pair) -> None:
    for number in range(300):
        pair.near.write("k", number)
    assert pair.sync().pushed == 1
    assert pair.far.value("k") == 299
    assert pair.near.sql("SELECT count(*) FROM cache_cacheentry") == [(1,)]


@pytest.mark.parametrize(
    ("policy", "stands", "choice"),
    [(Policy.LOCAL, 1, "mine"), (Policy.REMOTE, 2, "theirs"), (Policy.NEWEST, 2, "theirs")],
)
def test_the_policy_decides_and_the_loser_is_in_the_row(
    policy: Policy, stands: int, choice: str, pair: Pair
) -> None:
    pair.rules(("", policy, []))
    edit_both(pair, "k", 1, 2)
    pair.settle()
    assert (pair.near.value("k"), pair.far.value("k")) == (stands, stands)
    assert pair.conflicts() == [("k", choice, 1, 2, 0, "sync")]


def test_both_changes_are_merged_and_counters_add(pair: Pair) -> None:
    pair.rules(("", Policy.MERGE, ["made"]))
    edit_both(pair, "k", {"made": 13, "a": 1}, {"made": 12, "b": 2}, began={"made": 10})
    pair.settle()
    assert pair.near.value("k") == pair.far.value("k") == {"made": 15, "a": 1, "b": 2}
    ((_, choice, mine, theirs, base, _),) = pair.conflicts()
    assert (choice, mine["made"], theirs["made"], base) == ("merged", 13, 12, {"made": 10})


def test_what_cannot_be_merged_becomes_a_question_and_stops_nothing(pair: Pair) -> None:
    pair.rules(("", Policy.MERGE, []))
    edit_both(pair, "k", {"a": "text"}, {"a": 5}, began={"a": 0})
    pair.near.write("z", 1)
    pair.settle()
    assert pair.far.value("z") == 1
    assert (pair.near.value("k"), pair.far.value("k")) == ({"a": "text"}, {"a": 5})
    assert [(key, choice, by) for key, choice, *_, by in pair.conflicts()] == [("k", "ask", "")]


def test_an_open_question_shows_what_both_have_now(pair: Pair) -> None:
    pair.rules(("", Policy.ASK, []))
    edit_both(pair, "k", 1, 2)
    pair.sync()
    pair.near.write("k", 11)
    pair.far.write("k", 22)
    pair.settle()
    assert pair.conflicts() == [("k", "ask", 11, 22, 0, "")]
    pair.far.write("k", 11)
    pair.settle()
    assert pair.conflicts()[0][1] == "alike"
    assert pair.near.everything() == pair.far.everything()


def test_the_same_edit_on_both_sides_is_no_conflict(pair: Pair) -> None:
    edit_both(pair, "k", {"a": 1}, {"a": 1})
    pair.settle()
    assert pair.conflicts() == []
    assert pair.near.everything() == pair.far.everything()


def test_a_counter_that_both_sides_moved_alike_counts_both(pair: Pair) -> None:
    pair.rules(("", Policy.MERGE, ["made"]))
    edit_both(pair, "k", {"made": 11}, {"made": 11}, began={"made": 10})
    pair.settle()
    assert pair.near.value("k") == pair.far.value("k") == {"made": 12}
    assert [row[1] for row in pair.conflicts()] == ["merged"]


def test_the_same_edit_beside_a_counter_at_rest_is_no_conflict(pair: Pair) -> None:
    pair.rules(("", Policy.MERGE, ["made"]))
    edit_both(pair, "k", {"made": 1, "a": 2}, {"made": 1, "a": 2}, began={"made": 1})
    pair.settle()
    assert pair.conflicts() == []


def test_clocks_that_are_apart_ask_when_an_answer_comes_late_too(pair: Pair) -> None:
    """A round settles what has no answer before it hears the peer's clock again."""
    pair.near.write("k", 0)
    pair.far.clock.advance(timedelta(hours=-1))
    pair.sync()
    pair.near.write("k", 1)
    pair.peer.deaf = {"k"}
    pair.sync()
    pair.peer.deaf = set()
    pair.far.write("k", 2)
    pair.sync()
    assert [row[1] for row in pair.conflicts()] == ["ask"]


def test_clocks_that_are_apart_ask_instead_of_guessing(pair: Pair) -> None:
    edit_both(pair, "k", 1, 2)
    pair.far.clock.advance(timedelta(hours=1))
    pair.sync()
    assert [row[1] for row in pair.conflicts()] == ["ask"]
    ((skew,),) = pair.near.sql("SELECT skew_ms FROM cache_cachepeer")
    assert 3_500_000 < skew < 3_700_000


def test_a_box_whose_clock_is_behind_still_writes_over_what_it_knows(pair: Pair) -> None:
    pair.far.clock.advance(timedelta(hours=1))
    pair.far.write("k", "old")
    pair.sync()
    pair.near.write("k", "new")
    pair.settle()
    assert pair.far.value("k") == "new"
    assert pair.conflicts() == []


# --- once, and only once


def test_an_answer_that_was_lost_makes_no_conflict_of_ones_own_edit(pair: Pair) -> None:
    """The peer took the edit, somebody there built on it, and only then we hear: that is no conflict."""
    pair.near.write("k", 1)
    pair.peer.lose_answer = True
    with pytest.raises(PeerAway):
        pair.sync()
    pair.peer.lose_answer = False
    pair.pass_time()
    pair.far.write("k", 2)
    pair.settle()
    assert pair.conflicts() == []
    assert pair.near.value("k") == pair.far.value("k") == 2


def test_a_message_that_is_repeated_changes_nothing(pair: Pair) -> None:
    pair.near.write("k", 1)
    entry = pair.near.entry("k")
    assert entry is not None
    message = json.loads(json.dumps(message_of(entry, None)))
    now = pair.far.clock.now()
    for _ in range(3):
        (answer,) = receive(pair.far.begin, "far", now, [message]).answers
        assert answer.outcome == "accepted"
    pair.far.write("k", 2)
    (late,) = receive(pair.far.begin, "far", now, [message]).answers
    assert (late.outcome, late.current["value"], pair.far.value("k")) == ("accepted", 2, 2)


def test_compare_and_set_refuses_what_was_made_over_another_value(pair: Pair) -> None:
    pair.far.write("k", "theirs")
    pair.near.write("k", "mine")
    entry = pair.near.entry("k")
    assert entry is not None
    for base in (None, Stamp(1, 0, "far")):
        (answer,) = receive(pair.far.begin, "far", pair.far.clock.now(), [message_of(entry, base)]).answers
        assert (answer.outcome, answer.current["value"]) == ("conflict", "theirs")
    assert pair.far.value("k") == "theirs"


def test_a_crash_at_any_place_repeats_harmlessly(pair: Pair) -> None:
    """Every commit on both sides, before and after it."""
    for victim in ("near", "far"):
        place = 0
        while True:
            pair.reset()
            edit_both(pair, "k", 1, 2)
            pair.near.write("a", 1)
            pair.far.write("b", 1)
            getattr(pair, victim).faults.left = place
            try:
                pair.sync()
                crashed = False
            except (Crash, PeerAway):
                crashed = True
            getattr(pair, victim).faults.left = None
            pair.settle()
            assert pair.near.everything() == pair.far.everything(), (victim, place)
            assert pair.near.value("k") == 2
            assert [(row[1], row[2], row[3]) for row in pair.conflicts()] == [("theirs", 1, 2)], (
                victim,
                place,
            )
            if not crashed:
                break
            place += 1
        assert place > 3


def test_a_peer_that_lost_history_gets_it_back(pair: Pair) -> None:
    """It was put back to an old backup: what this box has since is no older, and goes there again."""
    pair.near.write("k", "old")
    pair.sync()
    backup = pair.far.sql("SELECT value::text, wall, counter, origin FROM cache_cacheentry")[0]
    pair.pass_time()
    pair.near.write("k", "new")
    pair.near.write("later", 1)
    pair.sync()
    pair.far.sql(
        "UPDATE cache_cacheentry SET value = %s::jsonb, wall = %s, counter = %s, origin = %s,"
        " seq = nextval('cache_journal'), xact = pg_current_xact_id()::text::bigint WHERE key = 'k'",
        *backup,
    )
    pair.settle()
    assert pair.near.value("k") == pair.far.value("k") == "new"


# --- poison


def test_a_value_that_the_peer_refuses_is_parked_and_blocks_nothing(pair: Pair) -> None:
    pair.near.write("a", 1)
    pair.near.write("big", "x" * (LARGEST + 1))
    pair.near.write("z", 1)
    assert pair.sync().parked == 1
    assert (pair.far.value("a"), pair.far.value("z"), pair.far.value("big")) == (1, 1, None)
    ((key, direction, reason),) = pair.parked()
    assert (key, direction) == ("big", "out")
    assert "bytes" in reason
    pair.near.write("big", "small")
    pair.settle()
    assert pair.far.value("big") == "small"
    assert pair.parked() == []


def test_a_value_that_makes_the_peer_fail_is_parked_after_some_patience(pair: Pair) -> None:
    pair.near.write("a", 1)
    pair.near.write("bad", 1)
    pair.near.write("z", 1)
    pair.peer.deaf = {"bad"}
    for _ in range(PATIENCE - 1):
        pair.sync()
        assert pair.parked() == []
        assert (pair.far.value("a"), pair.far.value("z")) == (1, 1)
    pair.sync()
    assert [row[:2] for row in pair.parked()] == [("bad", "out")]


def test_an_edit_made_while_the_one_before_it_fails_is_offered_too(pair: Pair) -> None:
    pair.near.write("k", 1)
    pair.peer.deaf = {"k"}
    pair.sync()
    pair.near.write("k", 2)
    pair.sync()
    pair.peer.deaf = set()
    pair.settle()
    assert pair.far.value("k") == 2


def test_an_edit_made_after_one_was_parked_is_offered(pair: Pair) -> None:
    pair.near.write("k", 1)
    pair.peer.deaf = {"k"}
    pair.sync()
    pair.near.write("k", 2)
    for _ in range(PATIENCE - 1):
        pair.sync()
    pair.peer.deaf = set()
    pair.settle()
    assert pair.far.value("k") == 2


@pytest.mark.parametrize(
    "raw",
    [
        None,
        7,
        "x",
        [],
        {},
        {"key": "k\x00", "stamp": "0", "at": "x"},
        {"key": "bad", "stamp": "00000000000a-00000000-far", "at": "yesterday"},
        {"key": "bad", "stamp": "nonsense", "at": "2026-01-01T00:00:00Z"},
        {"key": "bad", "stamp": "00000000000a-00000000-far", "at": "2026-01-01T00:00:00"},
        {"key": "bad", "stamp": "00000000000a-00000000-far", "at": "2026-01-01T00:00:00Z", "value": "a\x00b"},
        {"key": "bad", "stamp": "00000000000a-7fffffff-far", "at": "2026-01-01T00:00:00Z", "value": 1},
        {"key": "k" * 201, "stamp": "00000000000a-00000000-far", "at": "2026-01-01T00:00:00Z"},
    ],
)
def test_a_document_that_cannot_be_read_is_parked_and_blocks_nothing(raw: Any, pair: Pair) -> None:
    pair.peer.raw = [raw]
    pair.far.write("good", 1)
    pair.sync()
    assert pair.near.value("good") == 1
    assert [row[1] for row in pair.parked()] == ["in"]
    (answer,) = receive(pair.far.begin, "far", pair.far.clock.now(), [{"id": "m", "document": raw}]).answers
    assert (answer.id, answer.outcome) == ("m", "refused")


def test_only_what_is_shared_travels(pair: Pair) -> None:
    pair.rules(("line_1/", Policy.NEWEST, []))
    for key in ("line_1/a", "lineX1/a", "secret"):
        pair.near.write(key, 1)
    pair.far.write("line_1/b", 2)
    pair.far.write("theirs", 2)
    pair.settle()
    assert set(pair.far.everything()) == {"line_1/a", "line_1/b", "theirs"}
    assert set(pair.near.everything()) == {"line_1/a", "line_1/b", "lineX1/a", "secret"}


def test_a_write_in_the_middle_of_a_round_is_seen_by_the_next(pair: Pair) -> None:
    """A transaction that began before and commits after is not passed over by the journal's position."""
    with connect() as slow:
        slow.execute("SET search_path = near")
        slow.execute(
            "INSERT INTO cache_cacheentry (key, value, version, wall, counter, origin, deleted, updated_at,"
            " updated_by, xact, seq) VALUES ('slow', '1', 1, 1, 0, 'near', false, now(), '',"
            " pg_current_xact_id()::text::bigint, nextval('cache_journal'))"
        )
        pair.near.write("fast", 1)
        pair.sync()
        slow.commit()
    pair.settle()
    assert (pair.far.value("fast"), pair.far.value("slow")) == (1, 1)


def test_a_document_says_what_it_is(pair: Pair) -> None:
    pair.near.write("k", 1)
    entry = pair.near.entry("k")
    assert entry is not None
    assert set(document_of(entry)) == {"key", "value", "deleted", "stamp", "at", "by"}
