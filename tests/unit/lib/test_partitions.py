"""Day partitions meet without a gap and without overlap."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest

from appliance.lib.identity import uuid7
from appliance.lib.partitions import Key, create_day, day_of, days_from, partition_name, prepare

TODAY = date(2026, 2, 27)


def bounds(statement: str) -> tuple[str, str]:
    found = re.search(r"FROM \('(.*?)'\) TO \('(.*?)'\)", statement)
    assert found
    return found[1], found[2]


@pytest.mark.parametrize("key", list(Key))
def test_days_meet_without_gap_or_overlap(key: Key) -> None:
    found = [bounds(create_day("runs_run", key, day)) for day in days_from(TODAY, 5)]
    assert [end for _, end in found[:-1]] == [start for start, _ in found[1:]]


def test_an_identifier_of_a_day_lies_between_the_bounds_of_its_day() -> None:
    start, end = bounds(create_day("runs_run", Key.UUID, TODAY))
    midnight = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC)
    last = midnight + timedelta(days=1) - timedelta(milliseconds=1)
    assert start <= str(uuid7(midnight)) < end
    assert start <= str(uuid7(last)) < end
    assert str(uuid7(midnight - timedelta(milliseconds=1))) < start


def test_a_name_gives_its_day_back_and_the_default_has_none() -> None:
    assert day_of(partition_name("runs_run", TODAY)) == TODAY
    assert day_of("runs_run_default") is None
    assert day_of("runs_run") is None


def test_a_fresh_table_gets_its_default_and_days_over_a_month_s_end() -> None:
    statements = prepare("t", Key.TIME, TODAY, ahead=3)
    assert len(statements) == 4
    assert statements[0].endswith("DEFAULT")
    assert 't_p20260301"' in statements[3]
