"""What cron, every and at do when the clocks change, in four zones, and whatever the moments of looking are (P2)."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.tasks.definition import Trigger
from appliance.tasks.firing import GRACE, MOST_MISSED, decide
from appliance.tasks.schedule import due_times
from tests.searching import search

PARIS, NEW_YORK = "Europe/Paris", "America/New_York"
LORD_HOWE, KATHMANDU = "Australia/Lord_Howe", "Asia/Kathmandu"
ZONES = [PARIS, NEW_YORK, LORD_HOWE, KATHMANDU]
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
CHANGES = {  # the UTC instant of each change of 2026: (forward, back)
    PARIS: ("2026-03-29 01:00", "2026-10-25 01:00"),
    NEW_YORK: ("2026-03-08 07:00", "2026-11-01 06:00"),
    LORD_HOWE: ("2026-10-03 15:30", "2026-04-04 15:00"),
}


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def of(zone: str | None = None, **said: str) -> Trigger:
    return Trigger.model_validate({**said, **({"timezone": zone} if zone else {})})


def around(trigger: Trigger, instant: str, length: timedelta = 30 * MINUTE) -> list[str]:
    """Due times around an instant, as local times with their offset."""
    zone = ZoneInfo(trigger.timezone or "UTC")
    found = due_times(trigger, utc(instant) - length - MINUTE, utc(instant) + length, 1000)
    return [due.astimezone(zone).strftime("%H:%M%z") for due in found]


# --- the gap: local times that do not exist ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "inside", "fires"),
    [
        (PARIS, "02:00", "03:00+0200"),
        (PARIS, "02:59", "03:00+0200"),
        (NEW_YORK, "02:30", "03:00-0400"),
        (LORD_HOWE, "02:00", "02:30+1100"),
        (LORD_HOWE, "02:29", "02:30+1100"),
    ],
)
def test_in_a_gap_cron_and_at_fire_once_at_its_end(zone: str, inside: str, fires: str) -> None:
    change = CHANGES[zone][0]
    day = utc(change).astimezone(ZoneInfo(zone)).date()
    hour, minute = inside.split(":")
    assert around(of(zone, cron=f"{int(minute)} {int(hour)} * * *"), change, 3 * timedelta(hours=1)) == [
        fires
    ]
    assert around(of(zone, at=f"{day} {inside}"), change) == [fires]


def test_the_half_hour_of_lord_howe_swallows_half_an_hour_only() -> None:
    """02:30 exists there on the day of the gap; it is the first instant after it."""
    change = CHANGES[LORD_HOWE][0]
    assert around(of(LORD_HOWE, cron="30 2 * * *"), change) == ["02:30+1100"]
    assert around(of(LORD_HOWE, cron="45 2 * * *"), change) == ["02:45+1100"]
    assert around(of(LORD_HOWE, cron="15,30,45 2 * * *"), change) == ["02:30+1100", "02:45+1100"]


# --- the fold: local times that happen twice -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "twice", "fires"),
    [
        (PARIS, "02:00", "02:00+0200"),
        (PARIS, "02:59", "02:59+0200"),
        (NEW_YORK, "01:30", "01:30-0400"),
        (LORD_HOWE, "01:30", "01:30+1100"),
        (LORD_HOWE, "01:59", "01:59+1100"),
    ],
)
def test_in_a_fold_cron_and_at_fire_the_first_time_only(zone: str, twice: str, fires: str) -> None:
    change = CHANGES[zone][1]
    day = utc(change).astimezone(ZoneInfo(zone)).date()
    hour, minute = twice.split(":")
    assert around(of(zone, cron=f"{int(minute)} {int(hour)} * * *"), change, timedelta(hours=4)) == [fires]
    assert around(of(zone, at=f"{day} {twice}"), change, timedelta(hours=4)) == [fires]


def test_what_does_not_happen_twice_at_lord_howe_fires_as_on_any_day() -> None:
    change = CHANGES[LORD_HOWE][1]
    assert around(of(LORD_HOWE, cron="29 1 * * *"), change, timedelta(hours=4)) == ["01:29+1100"]
    assert around(of(LORD_HOWE, cron="0 2 * * *"), change, timedelta(hours=4)) == ["02:00+1030"]


# --- what no clock disturbs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", sorted(CHANGES))
@pytest.mark.parametrize("which", [0, 1])
def test_every_and_a_line_around_the_clock_keep_their_pace_through_a_change(zone: str, which: int) -> None:
    change = utc(CHANGES[zone][which])
    for trigger in (of(every="10m"), of(zone, cron="*/10 * * * *")):
        dues = due_times(trigger, change - DAY, change + DAY, 1000)
        assert {later - earlier for earlier, later in pairwise(dues)} == {10 * MINUTE}


def test_kathmandu_has_no_change_and_an_odd_offset() -> None:
    year = due_times(of(KATHMANDU, cron="15 2 * * *"), utc("2026-01-01"), utc("2027-01-01"), 1000)
    assert len(year) == 365
    assert {later - earlier for earlier, later in pairwise(year)} == {DAY}
    assert f"{year[0]:%H:%M}" == "20:30"
    assert of(KATHMANDU, at="2026-05-01 08:00").at == utc("2026-05-01 02:15")


# --- whatever the moments of looking are ---------------------------------------------------------------------

_FIELDS = st.sampled_from(["*", "*/7", "0", "30", "15,45", "0-40/20"])
_CRON = st.builds(
    lambda minute, hour, weekday: f"{minute} {hour} * * {weekday}",
    _FIELDS,
    st.sampled_from(["*", "1", "2", "1-3", "*/2", "0,12", "23"]),
    st.sampled_from(["*", "*", "0", "1-5"]),
)
_DAYS = [utc(change[:10]) for pair in CHANGES.values() for change in pair] + [utc("2026-07-01")]


@st.composite
def triggers(draw: st.DrawFn) -> Trigger:
    kind = draw(st.sampled_from(["cron", "cron", "cron", "every", "at"]))
    zone = draw(st.sampled_from(ZONES))
    if kind == "cron":
        return of(zone, cron=draw(_CRON))
    if kind == "every":
        return of(every=f"{draw(st.integers(61, 20_000))}s")
    day = draw(st.sampled_from(_DAYS)).date()
    return of(zone, at=f"{day} {draw(st.integers(0, 23)):02}:{draw(st.integers(0, 59)):02}")


@search(60)
@given(trigger=triggers(), day=st.sampled_from(_DAYS), offset=st.integers(0, 86_400))
def test_due_times_strictly_increase_and_have_whole_seconds(
    trigger: Trigger, day: datetime, offset: int
) -> None:
    begin = day - DAY + timedelta(seconds=offset)
    dues = due_times(trigger, begin, begin + 2 * DAY, 3000)
    assert all(earlier < later for earlier, later in pairwise(dues))
    assert all(due > begin and due.tzinfo is UTC and due.microsecond == 0 for due in dues)


@search(60)
@given(
    trigger=triggers(),
    day=st.sampled_from(_DAYS),
    looks=st.lists(st.integers(0, 2 * 86_400), min_size=1, max_size=25),
    misfire=st.sampled_from(["skip", "run_once", "run_all", "ask"]),
)
def test_each_due_time_is_met_once_whenever_the_box_looks_restarts_or_its_clock_jumps(
    trigger: Trigger, day: datetime, looks: list[int], misfire: str
) -> None:
    """The door as it is: it looks from the last due time it wrote, at moments in any order."""
    begin = day - DAY
    last, met, ran = begin, [], []
    for look in [*looks, 2 * 86_400]:
        now = begin + timedelta(seconds=look)
        dues = due_times(trigger, last, now, MOST_MISSED)
        decision = decide(dues, now, misfire, None, "late")
        met += [due for due, _, _ in decision.rows]
        ran += [due for due, _ in decision.run_for]
        assert all(now - due <= GRACE for due in dues if due in set(ran) and misfire == "skip")
        last = dues[-1] if dues else last
    assert met == due_times(trigger, begin, begin + 2 * DAY, 50_000)
    assert sorted(set(ran)) == ran
    assert set(ran) <= set(met)
