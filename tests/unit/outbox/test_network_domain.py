"""One opinion that does not flap, and what several of them make of the whole."""

from datetime import UTC, datetime, timedelta

import pytest

from appliance.events import NetworkLost, NetworkRecovered
from appliance.lib.hysteresis import Hysteresis
from appliance.outbox.network.domain import (
    LINK,
    Answer,
    Condition,
    Known,
    Opinion,
    Reach,
    TargetKind,
    edges,
    overall,
)

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=90)


def known(name: str, reach: Reach, kind: TargetKind = TargetKind.NAMED) -> Known:
    return Known(name, kind, reach, NOON)


def say(**reaches: Reach) -> dict[str, Opinion]:
    return {name: Opinion(reach, Answer(reach is Reach.UP, "why")) for name, reach in reaches.items()}


def changes(opinion: Hysteresis, results: str, every: float = 10) -> list[int]:
    """The places in ``results`` (``+`` good, ``-`` bad) at which the opinion changed."""
    return [i for i, one in enumerate(results) if opinion.take(one == "+", i * every)]


@pytest.mark.parametrize(
    ("results", "turns"),
    [
        ("+", [0]),
        ("---", [2]),
        ("+---", [0, 3]),
        ("+--+--+--", [0]),
        ("+-+-+-+-+-+-", [0]),
        ("+---++", [0, 3, 5]),
        ("+---+-+-+", [0, 3]),
        ("+++++---------+++++", [0, 7, 15]),
    ],
)
def test_an_opinion_needs_several_results_in_a_row(results: str, turns: list[int]) -> None:
    assert changes(Hysteresis(), results) == turns


def test_an_opinion_is_held_for_a_while() -> None:
    opinion = Hysteresis(hold=30)
    assert changes(opinion, "+-----", every=1) == [0]
    assert opinion.take(False, 31)


def test_what_was_known_before_a_restart_counts() -> None:
    assert changes(Hysteresis(good=False), "-----") == []
    assert changes(Hysteresis(good=False), "++") == [1]


@pytest.mark.parametrize(
    ("targets", "condition"),
    [
        ([], Condition.ONLINE),
        ([known("a", Reach.UP), known("b", Reach.UNKNOWN)], Condition.ONLINE),
        ([known("a", Reach.UP), known("b", Reach.DOWN)], Condition.DEGRADED),
        ([known("a", Reach.DOWN), known("b", Reach.DOWN)], Condition.OFFLINE),
        ([known(LINK, Reach.DOWN, TargetKind.LINK)], Condition.OFFLINE),
        ([known(LINK, Reach.UP, TargetKind.LINK)], Condition.ONLINE),
        ([known(LINK, Reach.DOWN, TargetKind.LINK), known("a", Reach.UP)], Condition.ONLINE),
        ([known(LINK, Reach.UP, TargetKind.LINK), known("a", Reach.DOWN)], Condition.OFFLINE),
    ],
)
def test_the_whole_is_judged_by_what_the_box_has_to_do_with(
    targets: list[Known], condition: Condition
) -> None:
    assert overall(targets) is condition


def test_of_several_edges_exactly_one_says_that_all_is_back() -> None:
    found = edges([known("a", Reach.DOWN), known("b", Reach.DOWN)], say(a=Reach.UP, b=Reach.UP), LATER)
    assert [(edge.before, edge.after) for edge in found] == [
        (Condition.OFFLINE, Condition.DEGRADED),
        (Condition.DEGRADED, Condition.ONLINE),
    ]
    assert found[0].event == NetworkRecovered("a", 90.0, "degraded", "offline")


def test_a_loss_is_told_also_where_nothing_was_known_before() -> None:
    [edge] = edges([known("a", Reach.UNKNOWN)], say(a=Reach.DOWN), LATER)
    assert edge.event == NetworkLost("a", "why", "offline", "online")


def test_a_first_look_that_finds_all_well_tells_nothing() -> None:
    [edge] = edges([known("a", Reach.UNKNOWN)], say(a=Reach.UP), LATER)
    assert edge.event is None


def test_no_change_and_no_opinion_are_no_edge() -> None:
    targets = [known("a", Reach.UP), known("b", Reach.DOWN), known("c", Reach.UP)]
    assert edges(targets, say(a=Reach.UP, b=Reach.UNKNOWN), LATER) == []


def test_a_cable_that_is_out_is_told_only_where_nothing_else_can_be_judged() -> None:
    link = known(LINK, Reach.UP, TargetKind.LINK)
    assert edges([link, known("a", Reach.UP)], say(link=Reach.DOWN), LATER) == []
    [edge] = edges([link], say(link=Reach.DOWN), LATER)
    assert edge.event == NetworkLost(LINK, "why", "offline", "online")
