"""Quiet hours: when they are, on both sides of a change of the clock, and what a file may say of them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from appliance.bridges.errors import PlatformsInvalid
from appliance.bridges.platforms import parse_entry
from appliance.bridges.quiet import QuietHours
from appliance.lib.priority import Priority

NIGHT = {"from": "22:00", "to": "06:00", "timezone": "Europe/Paris"}


def quiet(**more: Any) -> QuietHours:
    return QuietHours.model_validate({**NIGHT, **more})


def until(hours: QuietHours, now: str) -> str | None:
    found = hours.until(datetime.fromisoformat(now).replace(tzinfo=UTC))
    return f"{found:%Y-%m-%dT%H:%M}" if found else None


@pytest.mark.parametrize(
    ("now", "end"),
    [
        ("2026-11-28T20:59", None),
        ("2026-11-28T21:00", "2026-11-29T05:00"),
        ("2026-11-29T03:00", "2026-11-29T05:00"),
        ("2026-11-29T05:00", None),
        ("2026-11-29T12:00", None),
        ("2026-06-01T20:00", "2026-06-02T04:00"),
    ],
)
def test_a_night_is_from_its_beginning_to_before_its_end(now: str, end: str | None) -> None:
    assert until(quiet(), now) == end


def test_the_days_are_those_on_which_they_begin() -> None:
    hours = quiet(days=["fri"])  # 2026-11-27 is a Friday
    assert until(hours, "2026-11-28T02:00") == "2026-11-28T05:00"
    assert until(hours, "2026-11-27T02:00") is None
    assert until(hours, "2026-11-28T22:00") is None


def test_a_weekend_is_one_stretch() -> None:
    hours = quiet(**{"from": "00:00", "to": "24:00", "days": ["sat", "sun"]})
    assert until(hours, "2026-11-28T10:00") == "2026-11-29T23:00"
    hold = hours.hold(datetime(2026, 11, 28, 10, tzinfo=UTC), 0)
    assert hold is not None
    assert hold.reason == "quiet hours until 2026-11-30 00:00 (Europe/Paris)"


@pytest.mark.parametrize(
    ("given", "now", "end"),
    [
        # 2026-03-29: 02:00 becomes 03:00, which is 01:00 UTC.
        ({"from": "02:30", "to": "06:00"}, "2026-03-29T00:59", None),
        ({"from": "02:30", "to": "06:00"}, "2026-03-29T01:00", "2026-03-29T04:00"),
        ({"from": "22:00", "to": "02:30"}, "2026-03-29T00:30", "2026-03-29T01:00"),
        ({"from": "22:00", "to": "02:30"}, "2026-03-29T01:00", None),
        ({"from": "02:10", "to": "02:50"}, "2026-03-29T01:00", None),
        ({"from": "22:00", "to": "06:00"}, "2026-03-28T23:00", "2026-03-29T04:00"),
        # 2026-10-25: 03:00 becomes 02:00, which is 01:00 UTC; 02:30 is at 00:30 and at 01:30 UTC.
        ({"from": "02:30", "to": "06:00"}, "2026-10-25T00:29", None),
        ({"from": "02:30", "to": "06:00"}, "2026-10-25T00:30", "2026-10-25T05:00"),
        ({"from": "22:00", "to": "02:30"}, "2026-10-25T00:45", "2026-10-25T01:30"),
        ({"from": "22:00", "to": "02:30"}, "2026-10-25T01:30", None),
    ],
)
def test_where_the_clock_is_changed_nobody_is_woken_too_early(
    given: dict[str, str], now: str, end: str | None
) -> None:
    assert until(quiet(**given), now) == end


def test_only_what_is_less_urgent_waits() -> None:
    now = datetime(2026, 11, 28, 23, tzinfo=UTC)
    held = [one for one in Priority if quiet().hold(now, one.rank)]
    assert held == [Priority.LOW, Priority.NORMAL]
    held = [one for one in Priority if quiet(below="critical").hold(now, one.rank)]
    assert held == [Priority.LOW, Priority.NORMAL, Priority.HIGH]
    hold = quiet().hold(now, 0)
    assert hold is not None
    assert (hold.reason, hold.about) == ("quiet hours until 06:00 (Europe/Paris)", "")


@pytest.mark.parametrize(
    ("given", "place", "says"),
    [
        ({"from": "25:00"}, "quiet.from", "a time such as 22:00"),
        ({"to": "6"}, "quiet.to", "a time such as 22:00"),
        ({"timezone": "Mars/Olympus"}, "quiet.timezone", "no time zone"),
        ({"days": []}, "quiet.days", "at least one day"),
        ({"below": "low"}, "quiet.below", "nothing is less urgent"),
        ({"to": "22:00"}, "quiet", "at the same time"),
        ({"from": "00:00", "to": "24:00"}, "quiet", "never end"),
        ({"until": "06:00"}, "quiet.until", "unknown key"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(given: dict[str, Any], place: str, says: str) -> None:
    with pytest.raises(PlatformsInvalid) as caught:
        parse_entry({"name": "webchat", "quiet": {**NIGHT, **given}})
    [problem] = caught.value.problems
    assert problem.path == place
    assert says in problem.message


def test_they_rest_as_they_were_written() -> None:
    config = parse_entry({"name": "webchat", "quiet": NIGHT}).config
    assert config.model_dump(mode="json", exclude_unset=True)["quiet"] == NIGHT
    assert json.loads(config.model_dump_json(exclude_unset=True))["quiet"] == NIGHT


def test_a_gateway_has_none() -> None:
    with pytest.raises(PlatformsInvalid):
        parse_entry({"name": "gateway", "quiet": NIGHT})
