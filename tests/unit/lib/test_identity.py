"""Identifiers carry their time, keep their order, and are the same for the same due time."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from appliance.lib.identity import time_of, uuid7, uuid_at, uuid_floor

AT = datetime(2026, 3, 1, 12, 34, 56, 789000, tzinfo=UTC)


def test_an_identifier_tells_its_time_to_the_millisecond() -> None:
    assert time_of(uuid7(AT)) == time_of(uuid_at(AT, "x")) == time_of(uuid_floor(AT)) == AT
    finer = AT + timedelta(microseconds=999)
    assert time_of(uuid7(finer)) == AT


def test_versions_and_variant_are_those_of_rfc_9562() -> None:
    assert (uuid7(AT).version, uuid_at(AT, "x").version) == (7, 8)
    assert uuid7(AT).variant == uuid_at(AT, "x").variant == "specified in RFC 4122"


def test_identifiers_made_one_after_another_sort_in_that_order() -> None:
    made = [uuid7() for _ in range(3000)]
    assert made == sorted(made)
    assert len(set(made)) == len(made)


def test_the_same_due_time_and_parts_give_the_same_identifier_and_others_another() -> None:
    assert uuid_at(AT, "run", "7", "cron") == uuid_at(AT, "run", "7", "cron")
    others = {
        uuid_at(AT, "run", "7", "cron"),
        uuid_at(AT, "run", "7", "cronx"),
        uuid_at(AT, "run7", "", "cron"),
        uuid_at(AT, "run", "7cron"),
        uuid_at(AT + timedelta(milliseconds=1), "run", "7", "cron"),
    }
    assert len(others) == 5


def test_the_floor_is_not_above_anything_of_its_millisecond() -> None:
    floor, following = uuid_floor(AT), uuid_floor(AT + timedelta(milliseconds=1))
    for one in (uuid7(AT), uuid_at(AT, "a"), uuid_at(AT, "b")):
        assert floor <= one < following


def test_time_survives_far_dates() -> None:
    for year in (1970, 2038, 2100, 9999):
        at = datetime(year, 1, 2, tzinfo=UTC)
        assert time_of(uuid7(at)) == at
    assert isinstance(uuid_floor(AT), UUID)
