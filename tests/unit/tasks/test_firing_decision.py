"""Which due times fire, which are missed, and what the misfire policy makes of the missed ones."""

from datetime import UTC, datetime, timedelta

from appliance.tasks.firing import GRACE, MOST_MADE_UP, decide
from appliance.tasks.models import OccurrenceState

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FIRED, MISSED = OccurrenceState.FIRED, OccurrenceState.MISSED


def ago(**length: float) -> datetime:
    return NOW - timedelta(**length)


def test_what_is_due_now_fires_and_runs() -> None:
    decision = decide([NOW], NOW, "skip", None, "late")
    assert decision.rows == [(NOW, FIRED, "")]
    assert decision.run_for == [(NOW, "")]


def test_the_grace_includes_its_last_instant() -> None:
    edge, late = NOW - GRACE, NOW - GRACE - timedelta(microseconds=1)
    decision = decide([late, edge], NOW, "skip", None, "late")
    assert [state for _, state, _ in decision.rows] == [MISSED, FIRED]


def test_every_due_time_gives_one_row_in_order_whatever_becomes_of_it() -> None:
    dues = [ago(hours=3), ago(hours=2), ago(seconds=1)]
    for misfire in ("skip", "run_once"):
        decision = decide(dues, NOW, misfire, None, "late")
        assert [due for due, _, _ in decision.rows] == dues


def test_skip_records_missed_times_and_runs_none() -> None:
    decision = decide([ago(hours=2), ago(hours=1)], NOW, "skip", None, "the box was off")
    assert decision.rows == [
        (ago(hours=2), MISSED, "the box was off"),
        (ago(hours=1), MISSED, "the box was off"),
    ]
    assert decision.run_for == []


def test_run_once_makes_up_for_all_missed_times_with_one_run_for_the_newest() -> None:
    decision = decide([ago(hours=3), ago(hours=2), ago(hours=1)], NOW, "run_once", None, "late")
    assert decision.run_for == [(ago(hours=1), "made up for 3 missed time(s)")]
    assert all(state is MISSED for _, state, _ in decision.rows)


def test_run_once_adds_nothing_where_one_fires_on_time_anyway() -> None:
    decision = decide([ago(hours=1), NOW], NOW, "run_once", None, "late")
    assert decision.run_for == [(NOW, "")]


def test_run_once_does_not_run_what_is_no_longer_valid() -> None:
    hour = timedelta(hours=1)
    assert decide([ago(hours=1)], NOW, "run_once", hour, "late").run_for != []
    assert decide([ago(hours=1, seconds=1)], NOW, "run_once", hour, "late").run_for == []


def test_nothing_due_decides_nothing() -> None:
    decision = decide([], NOW, "run_once", None, "late")
    assert (decision.rows, decision.run_for) == ([], [])


def test_run_all_runs_each_missed_time_in_order_before_what_is_due_now() -> None:
    dues = [ago(hours=3), ago(hours=2), NOW]
    decision = decide(dues, NOW, "run_all", None, "late")
    assert [due for due, _ in decision.run_for] == dues
    assert decision.in_turn == {ago(hours=3), ago(hours=2)}
    assert [state for _, state, _ in decision.rows] == [MISSED, MISSED, FIRED]


def test_run_all_is_bounded_and_the_rest_says_why_it_stays_missed() -> None:
    dues = [ago(hours=n) for n in range(MOST_MADE_UP + 20, 0, -1)]
    decision = decide(dues, NOW, "run_all", timedelta(hours=MOST_MADE_UP + 10), "late")
    assert [due for due, _ in decision.run_for] == dues[-MOST_MADE_UP:]
    reasons = [reason for _, _, reason in decision.rows]
    assert reasons[:10] == ["late; too late by now"] * 10
    assert reasons[10:20] == [f"late; older than the newest {MOST_MADE_UP}"] * 10
    assert set(reasons[20:]) == {"late"}


def test_ask_runs_nothing_by_itself_but_what_is_due_now() -> None:
    dues = [ago(hours=3), ago(hours=1), NOW]
    decision = decide(dues, NOW, "ask", timedelta(hours=2), "late")
    assert [due for due, _ in decision.run_for] == [NOW]
    assert decision.ask_for == [ago(hours=1)]
