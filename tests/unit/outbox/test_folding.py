"""When a storm is one, what its digest says, and how long the next one rests."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from appliance.outbox.folding import (
    CONTINUED,
    EDIT_PAUSE,
    PAUSES,
    Fold,
    Folded,
    Former,
    Stream,
    Told,
    is_storm,
)
from appliance.outbox.ports import Digest, DigestRule

NOW = datetime(2026, 1, 1, 10, 3, 12, tzinfo=UTC)
STREAM = Stream("chat", "42", "task/overheat/tell")
EDITS = DigestRule(edits=True)


def row(number: int, priority: int = 0) -> Folded:
    at = NOW + timedelta(seconds=number)
    return Folded(UUID(int=number + 1), 1, None, "tell", "", number, priority, at, 1, may_repeat=False)


def fold(*rows: Folded, rule: DigestRule | None = None, former: Former | None = None) -> Fold:
    return Fold(STREAM, rows, rule or DigestRule(), former or Former())


def test_the_sixth_within_the_time_is_a_storm() -> None:
    rule = DigestRule(after=5)
    assert not is_storm(rule, 4, 1, Former())
    assert is_storm(rule, 5, 1, Former())
    assert is_storm(rule, 0, 6, Former())
    assert is_storm(rule, 0, 1, Former(expired=1)), "else nobody would hear of what expired"


def test_the_words_are_those_of_the_last_of_the_most_urgent() -> None:
    assert fold(row(1), row(3), row(2)).lead == row(3)
    assert fold(row(1, 20), row(3), row(2, 20)).lead == row(2, 20)


def test_a_digest_that_replaces_holds_for_both() -> None:
    former = Former(NOW, UUID(int=9), NOW, NOW, NOW + EDIT_PAUSE, told=8, expired=2, expired_told=3)
    soon = NOW + timedelta(minutes=1)
    assert fold(row(20), row(21), rule=EDITS, former=former).digest(soon) == Digest(10, NOW, 5, UUID(int=9))
    alone = Digest(2, row(20).created_at, 2)
    assert fold(row(20), row(21), former=former).digest(soon) == alone
    assert fold(row(20), row(21), rule=EDITS, former=former).digest(NOW + CONTINUED) == alone
    set_back = NOW - timedelta(hours=1)
    assert fold(row(20), row(21), rule=EDITS, former=former).digest(set_back) == alone


def test_the_pause_grows_while_the_storm_lasts_and_begins_anew_after_it() -> None:
    former, now, pauses = Former(), NOW, []
    for _ in range(6):
        one = fold(row(0), former=former)
        former = one.sent(one.digest(now), now, edited=False)
        assert former.rest_until is not None
        pauses.append(former.rest_until - now)
        now = former.rest_until + timedelta(minutes=1)
    assert pauses == [*PAUSES, PAUSES[-1], PAUSES[-1]]
    late = fold(row(0), former=former)
    now += CONTINUED
    assert late.sent(late.digest(now), now, edited=False).rest_until == now + PAUSES[0]


def test_an_edit_rests_shortly_and_one_that_became_a_new_message_does_not() -> None:
    first = fold(row(0), rule=EDITS)
    kept = first.sent(first.digest(NOW), NOW, edited=False)
    assert kept.rest_until == NOW + EDIT_PAUSE
    soon = NOW + timedelta(minutes=1)
    second = fold(row(1), rule=EDITS, former=kept)
    digest = second.digest(soon)
    edited, anew = (second.sent(digest, soon, edited=one) for one in (True, False))
    assert (edited.rest_until, edited.begun_at) == (soon + EDIT_PAUSE, NOW)
    assert (anew.rest_until, anew.begun_at) == (soon + PAUSES[1], soon)


def test_a_platform_whose_edits_fail_gets_no_quick_ones_again_in_the_same_storm() -> None:
    former, now, pauses = Former(), NOW, []
    for _ in range(7):
        one = fold(row(0), rule=EDITS, former=former)
        former = one.sent(one.digest(now), now, edited=False)
        assert former.rest_until is not None
        pauses.append(former.rest_until - now)
        now = former.rest_until + timedelta(seconds=1)
    assert pauses == [EDIT_PAUSE, *PAUSES[1:], *PAUSES[-1:] * 3]


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 9)), max_size=30), st.integers(1, 90))
def test_what_was_told_lately_is_what_was_told_within_the_time(
    told: list[tuple[int, int]], within: int
) -> None:
    memory, other = Told(), replace(STREAM, about="task/flood/tell")
    for at, count in sorted(told):
        memory.add(STREAM, count, at)
        memory.forget(at - 90)
    assert memory.within(STREAM, within, 200) == sum(count for at, count in told if 200 - at < within)
    assert memory.within(other, within, 200) == 0
