"""Due times follow from the trigger alone, also where the clocks change."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.tasks.cron import CronError, cron_instants, normalise_cron
from appliance.tasks.definition import Trigger
from appliance.tasks.schedule import due_times, next_due
from tests.searching import search

PARIS, NEW_YORK = "Europe/Paris", "America/New_York"
LORD_HOWE, KATHMANDU = "Australia/Lord_Howe", "Asia/Kathmandu"
DAY = timedelta(days=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def cron(expression: str, timezone: str | None = None) -> Trigger:
    return Trigger.model_validate({"cron": expression, "timezone": timezone})


def local_times(trigger: Trigger, start: str, days: int = 1) -> list[str]:
    """Due times within days of local midnight of ``start``, as local times."""
    zone = ZoneInfo(trigger.timezone or "UTC")
    begin = datetime.fromisoformat(start).replace(tzinfo=zone).astimezone(UTC)
    end = (datetime.fromisoformat(start) + days * DAY).replace(tzinfo=zone).astimezone(UTC)
    dues = due_times(trigger, begin - timedelta(microseconds=1), end - timedelta(microseconds=1), 10_000)
    return [due.astimezone(zone).strftime("%H:%M%z") for due in dues]


@pytest.mark.parametrize(
    ("zone", "day", "expected"),
    [
        (PARIS, "2026-03-29", "03:00+0200"),
        (NEW_YORK, "2026-03-08", "03:00-0400"),
        (LORD_HOWE, "2026-10-04", "02:30+1100"),
    ],
)
def test_a_local_time_inside_a_gap_fires_once_at_the_next_valid_instant(
    zone: str, day: str, expected: str
) -> None:
    assert local_times(cron("15 2 * * *", zone), day) == [expected]


def test_several_times_of_one_gap_fire_once_together() -> None:
    assert local_times(cron("0,15,30,45 2 * * *", PARIS), "2026-03-29") == ["03:00+0200"]
    assert local_times(cron("30 2,3 * * *", PARIS), "2026-03-29") == ["03:00+0200", "03:30+0200"]
    assert local_times(cron("0 2,3 * * *", PARIS), "2026-03-29") == ["03:00+0200"]


@pytest.mark.parametrize(
    ("zone", "day", "expression", "expected"),
    [
        (PARIS, "2026-10-25", "30 2 * * *", "02:30+0200"),
        (NEW_YORK, "2026-11-01", "30 1 * * *", "01:30-0400"),
        (LORD_HOWE, "2026-04-05", "45 1 * * *", "01:45+1100"),
    ],
)
def test_a_local_time_that_happens_twice_fires_the_first_time_only(
    zone: str, day: str, expression: str, expected: str
) -> None:
    assert local_times(cron(expression, zone), day) == [expected]


def test_round_the_clock_neither_pauses_nor_bunches_when_the_clocks_change() -> None:
    for zone in (PARIS, NEW_YORK):
        trigger = cron("*/20 * * * *", zone)
        dues = due_times(trigger, utc("2026-01-01"), utc("2027-01-01"), 50_000)
        assert {b - a for a, b in pairwise(dues)} == {timedelta(minutes=20)}
    assert local_times(cron("0 * * * *", LORD_HOWE), "2026-10-04")[:3] == [
        "00:00+1030",
        "01:00+1030",
        "03:00+1100",
    ]
    assert local_times(cron("45 * * * *", LORD_HOWE), "2026-04-05")[:4] == [
        "00:45+1100",
        "01:45+1100",
        "01:45+1030",
        "02:45+1030",
    ]


def test_a_zone_with_a_quarter_of_an_hour_needs_no_special_care() -> None:
    assert local_times(cron("0 6 * * *", KATHMANDU), "2026-06-01", 2) == ["06:00+0545", "06:00+0545"]
    assert next_due(cron("0 6 * * *", KATHMANDU), utc("2026-06-01")) == utc("2026-06-01 00:15")


def _brute_force(expression: str, zone: ZoneInfo, start: datetime, minutes: int) -> list[datetime]:
    """The promise, said in the slowest way: look at every minute of local time."""
    minute, hour = expression.split()[:2]
    wanted_minutes = {int(m) for m in minute.split(",")}
    wanted_hours = set(range(24)) if hour == "*" else {int(h) for h in hour.split(",")}
    found: set[datetime] = set()
    last_wall = start.astimezone(zone).replace(tzinfo=None) - timedelta(minutes=1)
    for index in range(minutes):
        instant = start + timedelta(minutes=index)
        wall = instant.astimezone(zone).replace(tzinfo=None)
        skipped = last_wall + timedelta(minutes=1)
        while hour != "*" and skipped < wall:
            if skipped.hour in wanted_hours and skipped.minute in wanted_minutes:
                found.add(instant)
            skipped += timedelta(minutes=1)
        if wall.hour in wanted_hours and wall.minute in wanted_minutes and (hour == "*" or wall > last_wall):
            found.add(instant)
        last_wall = wall if hour == "*" else max(wall, last_wall)
    return sorted(found)


@search(60)
@given(
    zone=st.sampled_from([PARIS, NEW_YORK, LORD_HOWE, KATHMANDU]),
    day=st.sampled_from(["2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01"]),
    hours=st.one_of(st.just("*"), st.sets(st.integers(0, 4), min_size=1, max_size=3)),
    minutes=st.sets(st.integers(0, 59), min_size=1, max_size=4),
    offset=st.integers(0, 30 * 60),
)
def test_due_times_are_what_a_person_with_a_clock_would_see(
    zone: str, day: str, hours: str | set[int], minutes: set[int], offset: int
) -> None:
    hour = hours if isinstance(hours, str) else ",".join(map(str, sorted(hours)))
    expression = f"{','.join(map(str, sorted(minutes)))} {hour} * * *"
    start = utc(day) - timedelta(hours=20) + timedelta(minutes=offset)
    whole = _brute_force(expression, ZoneInfo(zone), utc(day) - timedelta(hours=30), 60 * 60)
    end = utc(day) - timedelta(hours=30) + timedelta(minutes=60 * 60 - 1)
    expected = [due for due in whole if start < due <= end]
    assert due_times(cron(expression, zone), start, end, 10_000) == expected


@search(60)
@given(
    expression=st.sampled_from(["*/7 * * * *", "30 2 * * *", "0 */6 * * *", "0 0 29 2 *", "15 1-3 * * 0"]),
    zone=st.sampled_from([None, PARIS, LORD_HOWE]),
    after=st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)).map(lambda d: d.replace(tzinfo=UTC)),
)
def test_looking_in_pieces_finds_each_due_time_exactly_once(
    expression: str, zone: str | None, after: datetime
) -> None:
    trigger = cron(expression, zone)
    whole = due_times(trigger, after, after + 3000 * DAY, 6)
    step: list[datetime] = []
    at = after
    while len(step) < len(whole):
        due = next_due(trigger, at)
        assert due is not None
        assert due > at
        step.append(due)
        at = due
    assert step == whole


def test_a_missing_second_or_a_late_look_changes_nothing() -> None:
    assert next_due(cron("* * * * *"), utc("2026-01-01 00:00:00.5")) == utc("2026-01-01 00:01")
    assert next_due(cron("* * * * *"), utc("2026-01-01 00:01")) == utc("2026-01-01 00:02")
    assert due_times(cron("* * * * *"), utc("2026-01-01"), utc("2026-01-01 00:02"), 10) == [
        utc("2026-01-01 00:01"),
        utc("2026-01-01 00:02"),
    ]
    assert len(due_times(cron("* * * * *"), utc("2026-01-01"), utc("2027-01-01"), 10)) == 10


def test_every_counts_from_the_epoch_so_that_saving_it_again_does_not_shift_it() -> None:
    trigger = Trigger.model_validate({"every": "1h30m"})
    dues = due_times(trigger, utc("2026-01-01 00:10"), utc("2026-01-01 04:00"), 10)
    assert dues == [utc("2026-01-01 01:30"), utc("2026-01-01 03:00")]
    assert next_due(trigger, dues[0]) == dues[1]


def test_at_is_due_once_and_follows_the_rule_of_gaps() -> None:
    trigger = Trigger.model_validate({"at": "2026-03-29 02:30", "timezone": PARIS})
    assert next_due(trigger, utc("2026-01-01")) == utc("2026-03-29 01:00")
    assert next_due(trigger, utc("2026-03-29 01:00")) is None
    fold = Trigger.model_validate({"at": "2026-10-25 02:30", "timezone": PARIS})
    assert fold.at == utc("2026-10-25 00:30")
    given_offset = Trigger.model_validate({"at": "2026-05-01T08:00:00+02:00"})
    assert given_offset.at == utc("2026-05-01 06:00")


def test_triggers_without_a_clock_are_never_due() -> None:
    manual = Trigger.model_validate({"manual": True})
    assert next_due(manual, utc("2026-01-01")) is None
    assert due_times(manual, utc("2026-01-01"), utc("2027-01-01"), 10) == []


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        next_due(cron("* * * * *"), datetime(2026, 1, 1))


@pytest.mark.parametrize(
    ("text", "meant"),
    [("@daily", "0 0 * * *"), ("  0   6 * *  1-5 ", "0 6 * * 1-5"), ("@Hourly", "0 * * * *")],
)
def test_cron_has_one_spelling(text: str, meant: str) -> None:
    assert normalise_cron(text) == meant


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("* * * *", "4 field"),
        ("* * * * * *", "six fields"),
        ("60 * * * *", "bad minute"),
        ("* 24 * * *", "bad hour"),
        ("* * 0 * *", "bad day-of-month"),
        ("* * * 13 *", "bad month"),
        ("* * * * 8", "bad day-of-week"),
        ("0 0 31 2 *", "bad day-of-month"),
        ("*/0 * * * *", "bad minute"),
        ("@reboot", "1 field"),
        ("x" * 500, "too long"),
        ("", "0 field"),
    ],
)
def test_a_cron_expression_that_means_nothing_is_refused_with_what_was_expected(text: str, said: str) -> None:
    with pytest.raises(CronError, match=said):
        normalise_cron(text)


def test_a_rare_date_is_found_without_a_search_that_never_ends() -> None:
    zone = ZoneInfo(PARIS)
    first = next(cron_instants("0 0 29 2 *", zone, utc("2026-01-01")))
    assert first == utc("2028-02-28 23:00")
    assert next(cron_instants("0 * 29 2 *", zone, utc("2026-01-01"))) == utc("2028-02-28 23:00")
