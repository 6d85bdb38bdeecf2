import json
from datetime import timedelta

import pytest
from django.db import connection, transaction

from appliance.events import AuditAlert, Event, RunChanged, TaskChanged, sql
from appliance.events.journal import Cursor, CursorInvalid
from appliance.events.services import (
    current_cursor,
    current_cursor_async,
    latest,
    read_after,
    read_after_async,
    record,
    record_many,
    record_many_async,
)
from tests.database import connect, connect_async
from tests.wait import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def run(n: int) -> RunChanged:
    return RunChanged(run_id=str(n), task="t", state="queued")


def write(*events: Event) -> None:
    with connection.cursor() as cursor:
        record_many(cursor, events)


def ids_after(cursor: Cursor) -> list[str]:
    return [str(entry.data["run_id"]) for entry in read_after(cursor).entries]


def everything_after(cursor: Cursor, count: int) -> list[str]:
    """What is readable once no transaction of another session holds the horizon back."""
    return wait_for(lambda: found if len(found := ids_after(cursor)) >= count else None)  # type: ignore[no-any-return]  # wait_for gives what it was given


def test_events_are_read_in_the_order_in_which_they_were_written() -> None:
    start = current_cursor()
    for n in range(5):
        write(run(n * 2), run(n * 2 + 1))
    assert everything_after(start, 10) == [str(n) for n in range(10)]


def test_an_event_is_typed_again_when_read() -> None:
    start = current_cursor()
    write(TaskChanged(task="überhitzt", change="enabled", version=3, principal="user:ana"))
    entry = wait_for(lambda: read_after(start).entries)[0]
    assert entry.event == TaskChanged(task="überhitzt", change="enabled", version=3, principal="user:ana")
    assert entry.subject == "task/überhitzt"
    assert json.loads(json.dumps(entry.to_json()))["cursor"] == str(entry.cursor)


def test_pages_follow_each_other_without_gap_or_repeat() -> None:
    start = current_cursor()
    write(*(run(n) for n in range(7)))
    everything_after(start, 7)
    seen: list[str] = []
    position, more = str(start), True
    while more:
        page = read_after(position, limit=3)
        seen += [str(entry.data["run_id"]) for entry in page.entries]
        position, more = str(page.cursor), page.more
    assert seen == [str(n) for n in range(7)]
    assert read_after(position).entries == ()
    assert read_after(position).cursor == Cursor.parse(position)


def test_a_slow_transaction_is_never_overtaken_by_a_reader() -> None:
    """It drew the smaller sequence number and commits last: its reader must still see it."""
    start = current_cursor()
    with connect() as slow:
        record(slow, run(1))
        write(run(2))
        seen = ids_after(start)
        position = read_after(start).cursor
        slow.commit()
    assert seen == [], "what could still be preceded is not shown yet"
    assert everything_after(position, 2) == ["1", "2"]


def test_nothing_is_recorded_by_a_transaction_that_failed() -> None:
    start = current_cursor()

    def fail() -> None:
        with transaction.atomic():
            write(run(1))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    write(run(2))
    assert everything_after(start, 1) == ["2"]


def test_a_reader_that_takes_its_position_first_misses_nothing() -> None:
    with connect() as early:
        record(early, run(1))
        start = current_cursor()
        early.commit()
    assert everything_after(start, 1) == ["1"]


def test_a_position_of_another_database_is_refused_instead_of_silent() -> None:
    with pytest.raises(CursorInvalid):
        read_after(Cursor(2**50, 0))


async def test_the_asynchronous_form_reads_and_writes_the_same() -> None:
    async with await connect_async() as db:
        start = await current_cursor_async(db)
        async with db.transaction():
            await record_many_async(db, [run(1), run(2)])
            await record_many_async(db, [])
        page = await read_after_async(db, start)
        assert [entry.data["run_id"] for entry in page.entries] == ["1", "2"]
        with pytest.raises(CursorInvalid):
            await read_after_async(db, "x")


def test_hostile_text_is_recorded() -> None:
    start = current_cursor()
    write(RunChanged(run_id="1\x00", task="\ud800", state="'; DROP TABLE events_event; --"))
    entry = wait_for(lambda: read_after(start).entries)[0]
    assert entry.data["run_id"] == "1\ufffd"


def test_the_last_events_of_a_type_are_found_newest_first() -> None:
    write(AuditAlert(rule="first", message="m"), run(5), AuditAlert(rule="second", message="m"))
    found = latest([AuditAlert.type], within=timedelta(minutes=5), limit=2)
    assert [entry.data["rule"] for entry in found] == ["second", "first"]


def test_transactions_are_read_in_their_order_also_where_their_numbers_grow_longer() -> None:
    """As text, 10 comes before 9: a page would end behind what it had not read yet."""
    numbers = (8, 9, 10, 11, 99, 100)
    with connection.cursor() as cursor:
        for number in numbers:
            cursor.execute(
                "INSERT INTO events_event (xact, type, subject, data) VALUES (%s::text::xid8, 'x', %s, '{}')",
                (number, str(number)),
            )
    read, place = [], Cursor(7, 0)
    while (page := read_after(place, limit=2)).entries:
        read += [int(entry.subject) for entry in page.entries]
        place = page.cursor
    assert [number for number in read if number in numbers] == list(numbers)


@pytest.mark.parametrize("statement", [sql.READ_AFTER, sql.READ_TYPES_AFTER], ids=["all", "types"])
def test_a_page_is_read_along_the_index_and_not_sorted(statement: str) -> None:
    """Else each page costs as much as all that is still unread."""
    values: list[str | int | list[str]] = ["7", 0, 101]
    if statement == sql.READ_TYPES_AFTER:
        values = ["7", 0, "1000000", ["run.changed"], 101]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_sort = off; SET LOCAL enable_seqscan = off")
        cursor.execute(f"EXPLAIN {statement}", values)
        plan = "\n".join(row[0] for row in cursor.fetchall())
    assert "Sort  (" not in plan, plan
