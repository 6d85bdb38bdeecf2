"""Signed heads go with the records that they cover, and what stays still proves where it begins."""

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from appliance.audit import retention
from appliance.audit.checking import verify_database, verify_files
from appliance.audit.heads import HeadsFile, SignedHead, heads_file, read_heads
from appliance.audit.models import AuditSignature
from appliance.audit.report import Finding
from appliance.audit.retention import segments_folder
from appliance.audit.services import append_here, records_at, sign_head, signed_heads
from appliance.runs.evidence.services import proved
from tests.database import connect
from tests.integration.audit.test_retention import START, found, home, shorten
from tests.wait import wait_for

Tamper = Callable[..., None]
__all__ = ["home"]


def numbers(heads: Path) -> list[int]:
    return [head.number for head in read_heads(heads_file(heads))]


def test_they_go_from_database_and_file_and_everything_still_proves_itself(home: Path) -> None:
    shorten(home, 45)
    assert [head.number for head in signed_heads()] == numbers(home) == list(range(3, 13))
    shorten(home, 60)
    assert [head.number for head in signed_heads()] == numbers(home) == list(range(6, 13))
    report = verify_database(home)
    assert report.intact, report.problems
    assert report.notes == ["150 older records are in archived segments, which were checked too"]
    assert all(one.intact for one in verify_files(sorted(segments_folder(home).iterdir()), None))
    append_here("a", "b", "c", {})
    assert sign_head(START + timedelta(days=61), home)
    assert numbers(home) == list(range(6, 14))
    assert verify_database(home).intact
    head = next(head for head in signed_heads() if head.seq == 200)
    assert len(proved(head, records_at([176, 200]))) == 2  # what a bundle of evidence holds


def test_dropped_records_take_theirs_along(home: Path) -> None:
    shorten(home, archive=False)
    assert numbers(home) == list(range(6, 13))
    assert verify_database(home).intact


def test_a_crash_before_they_went_is_made_up_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(HeadsFile, "begin_at", die)
        with pytest.raises(KeyboardInterrupt):
            shorten(home)
    assert numbers(home) == list(range(1, 13))
    assert verify_database(home).intact
    assert shorten(home) == []
    assert numbers(home) == list(range(6, 13))


def test_nothing_is_broken_while_they_go(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches: after one of them there may be a crash, and a look at any moment."""
    monkeypatch.setattr(retention, "_forget_heads", lambda folder: None)
    shorten(home)
    for gone in (1, 2, 5):
        with connect() as db:
            db.execute("DELETE FROM audit_signature WHERE number <= %s", (gone,))
        report = verify_database(home)
        assert report.intact, report.problems
    monkeypatch.undo()
    assert shorten(home) == []
    assert numbers(home) == list(range(6, 13))
    assert verify_database(home).intact


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DELETE FROM audit_signature WHERE number = 6", Finding.HEAD_REMOVED),
        ("DELETE FROM audit_signature WHERE number <= 7", Finding.HEAD_REMOVED),
        ("DELETE FROM audit_signature WHERE number = 9", Finding.HEAD_REMOVED),
        ("DELETE FROM audit_signature", Finding.HEAD_REMOVED),
        ("UPDATE audit_signature SET signature = sha256('x') WHERE number = 6", Finding.HEAD_FORGED),
        ("DELETE FROM audit_anchor", Finding.HEAD_REMOVED),
        ("UPDATE audit_anchor SET number = 5 WHERE number = 6", Finding.REWRITTEN),
    ],
)
def test_whoever_takes_others_out_is_found(
    home: Path, tamper: Tamper, statement: str, expected: Finding
) -> None:
    shorten(home)
    tamper(statement)
    assert expected in {finding for finding, _ in found(verify_database(home))}


def test_whoever_takes_them_out_of_the_file_is_found(home: Path) -> None:
    shorten(home)
    file = heads_file(home)
    lines = file.read_bytes().splitlines(keepends=True)
    for left in (lines[1:], lines[:2] + lines[3:]):
        file.write_bytes(b"".join(left))
        assert Finding.HEAD_REMOVED in {finding for finding, _ in found(verify_database(home))}


def test_the_database_lets_go_of_no_head_that_the_record_needs(home: Path) -> None:
    shorten(home)
    for statement in (
        "DELETE FROM audit_signature WHERE number = 6",
        "DELETE FROM audit_signature WHERE number = 12",
        "UPDATE audit_signature SET body = body",
        "TRUNCATE audit_signature",
    ):
        with connect() as db, pytest.raises(psycopg.errors.InsufficientPrivilege):
            db.execute(statement)
    assert AuditSignature.objects.count() == 7


@pytest.mark.parametrize(
    ("number", "seq", "hash_of"), [(12, 300, 11), (11, 300, 12), (12, 299, 12), (99, 300, 12)]
)
def test_the_database_takes_no_cut_that_no_signed_head_has(
    home: Path, number: int, seq: int, hash_of: int
) -> None:
    head = next(head for head in signed_heads() if head.number == hash_of)
    assert hash_of != 12 or head.seq == 300
    with connect() as db, pytest.raises(psycopg.errors.InsufficientPrivilege, match="at signed heads only"):
        db.execute(
            "INSERT INTO audit_anchor (seq, after, number, hash, file, sha256, at)"
            " VALUES (%s, 0, %s, %s, '', '', now())",
            (seq, number, head.hash),
        )
    assert AuditSignature.objects.count() == 12


def test_who_waited_while_the_file_was_replaced_writes_into_the_new_one(home: Path) -> None:
    """As sign_head in one process while another shortens: a head must not go into a file without a name."""
    last = list(read_heads(heads_file(home)))[-1]

    def sign() -> None:
        with HeadsFile(home) as other:
            other.append([last])

    locked = Path("/proc/locks").read_text
    with HeadsFile(home) as file:
        inode = heads_file(home).stat().st_ino
        waiting = threading.Thread(target=sign)
        waiting.start()
        wait_for(lambda: any("->" in line and f":{inode} " in line for line in locked().splitlines()))
        file.begin_at(6)
    waiting.join(10)
    assert not waiting.is_alive()
    assert numbers(home) == [*range(6, 13), 12]


def test_a_file_that_lacks_the_head_it_should_begin_at_stays_as_it_is(home: Path) -> None:
    kept: list[SignedHead] = list(read_heads(heads_file(home)))
    heads_file(home).write_bytes(b"".join(head.line() for head in kept if head.number != 6))
    with HeadsFile(home) as file:
        file.begin_at(6)
    assert numbers(home) == [number for number in range(1, 13) if number != 6]
