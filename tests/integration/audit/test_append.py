import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import DatabaseError, connection, transaction

from appliance.audit.chain import GENESIS, AuditEntry, link
from appliance.audit.checking import verify_database
from appliance.audit.models import AuditRecord
from appliance.audit.services import append, append_async, append_here, records_after
from tests.database import connect, connect_async


def entry(n: int) -> AuditEntry:
    return AuditEntry("test", "user:ana", f"run/{n}", {"n": n})


def test_the_database_links_as_the_verifier_does() -> None:
    with connection.cursor() as cursor:
        append(cursor, [entry(1), entry(2)])
        append(cursor, [entry(3)])
    previous = GENESIS
    for record in records_after(0, 3):
        assert record.prev_hash == previous
        assert record.hash == link(previous, record.seq, record.body)
        previous = record.hash
    assert AuditRecord.objects.get(seq=2).detail == {"n": 2}


def test_one_call_is_one_statement() -> None:
    with connect(autocommit=True) as db:
        executed: list[str] = []

        class Counting:
            def execute(self, query: Any, params: Any = None, /) -> Any:
                executed.append(query)
                return db.execute(query, params)

        append(Counting(), [entry(n) for n in range(50)])
        append(Counting(), [])
    assert len(executed) == 1
    assert AuditRecord.objects.count() == 50


def test_a_transaction_that_fails_leaves_no_gap(tmp_path: Path) -> None:
    append_here("test", "a", "b", {})

    def fail() -> None:
        with transaction.atomic():
            append_here("test", "lost", "b", {})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    append_here("test", "a", "c", {})
    report = verify_database(tmp_path)
    assert report.intact
    assert report.records == 2


def test_writers_at_the_same_time_make_one_chain(tmp_path: Path) -> None:
    def write(worker: int) -> None:
        with connect() as db:
            for n in range(20):
                append(db, [entry(worker * 100 + n), entry(worker * 100 + n)])
                db.commit()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    report = verify_database(tmp_path)
    assert report.intact
    assert report.records == 160


async def test_the_asynchronous_form_makes_the_same_chain(tmp_path: Path) -> None:
    async with await connect_async() as db:
        async with db.transaction():
            await append_async(db, [entry(1), entry(2)])
        await append_async(db, [])
    report = await asyncio.to_thread(_verified, tmp_path)
    assert report == (True, 2)


def _verified(home: Path) -> tuple[bool, int]:
    try:
        report = verify_database(home)
        return report.intact, report.records
    finally:
        connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_record SET principal = 'eve'",
        "DELETE FROM audit_record",
        "TRUNCATE audit_record",
        "UPDATE audit_signature SET number = 7",
        "TRUNCATE audit_signature",
        "DELETE FROM audit_head",
        "UPDATE audit_head SET seq = seq - 1",
    ],
)
def test_the_database_refuses_every_change(statement: str) -> None:
    append_here("test", "a", "b", {})
    with connect() as db, pytest.raises(psycopg.errors.InsufficientPrivilege):
        db.execute(statement)
    assert AuditRecord.objects.count() == 1


def test_hostile_text_is_put_on_record(tmp_path: Path) -> None:
    append_here("k\x00", "p\ud800", "'; DROP TABLE audit_record; --", {"\x00": "\x00", "n": float("nan")})
    assert verify_database(tmp_path).intact
    assert AuditRecord.objects.get().detail["n"] == "nan"


def test_a_record_slipped_in_past_the_function_is_refused_or_found(tmp_path: Path) -> None:
    append_here("test", "a", "b", {})
    columns = "at, kind, principal, subject, body, prev_hash, hash"
    slip = f"INSERT INTO audit_record SELECT %s, {columns} FROM audit_record"
    with connection.cursor() as cursor:
        with pytest.raises(DatabaseError), transaction.atomic():
            cursor.execute(slip, (1,))
        cursor.execute(slip, (2,))
    assert not verify_database(tmp_path).intact
