"""The record is shortened at its beginning: what stays, what was archived and the cut between them prove each other."""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection

from appliance.audit.chain import Head
from appliance.audit.checking import verify_database, verify_files
from appliance.audit.errors import AuditBroken
from appliance.audit.export import verify_export
from appliance.audit.heads import SignedHead, Signer
from appliance.audit.models import AuditRecord
from appliance.audit.report import Finding, Report
from appliance.audit.retention import anchors, prune, segments_folder
from appliance.audit.services import AuditEntry, append, append_here, records_at, sign_head
from appliance.audit.sql import ADD_SIGNATURE
from appliance.audit.sql_kept import ADD_ANCHOR
from appliance.lib.config import get_config
from appliance.runs.evidence.services import proved
from tests.database import connect

Tamper = Callable[..., None]
START = datetime(2026, 1, 1, tzinfo=UTC)
KEEP = timedelta(days=30)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Twenty-five records and a signed head on every fifth of sixty days."""
    for day in range(0, 60, 5):
        with connection.cursor() as cursor:
            append(cursor, [AuditEntry("step.intent", "user:ana", f"run/{day}", {"n": n}) for n in range(25)])
        assert sign_head(START + timedelta(days=day), tmp_path)
    return tmp_path


def shorten(home: Path, day: float = 60, *, archive: bool = True) -> list[int]:
    """On that day; gives where it was cut."""
    return [one.seq for one in prune(START + timedelta(days=day), keep=KEEP, archive=archive, home=home)]


def found(report: Report) -> set[tuple[Finding, int]]:
    return {(problem.finding, problem.seq) for problem in report.problems}


def test_what_is_older_is_archived_and_everything_still_proves_itself(home: Path) -> None:
    assert shorten(home) == [150]
    assert AuditRecord.objects.order_by("seq").values_list("seq", flat=True)[0] == 151
    report = verify_database(home)
    assert report.intact, report.problems
    assert (report.start.seq, report.records, report.archived) == (150, 151, 150)
    assert AuditRecord.objects.get(seq=301).kind == "audit.pruned"
    (file,) = segments_folder(home).iterdir()
    assert file.name == "000000000001-000000000150.jsonl.gz"
    assert verify_export(file).intact


def test_again_and_again_the_segments_join(home: Path) -> None:
    assert shorten(home, 40) == [50]
    assert shorten(home, 40) == []
    assert shorten(home, 45) == [75]
    assert shorten(home, 60) == [150]
    report = verify_database(home)
    assert report.intact, report.problems
    assert report.archived == 150
    files = sorted(segments_folder(home).iterdir())
    assert all(one.intact for one in verify_files(files, None))
    gap = verify_files([files[0], files[2]], None)
    assert [problem.finding for problem in gap[1].problems] == [Finding.NOT_JOINED]


def test_dropped_records_leave_their_anchor_and_a_note(home: Path) -> None:
    assert shorten(home, archive=False) == [150]
    assert not segments_folder(home).exists()
    report = verify_database(home)
    assert report.intact
    assert report.notes == ["records 1 to 150 were dropped as the settings say"]


def test_what_was_not_looked_at_for_alerts_stays(home: Path) -> None:
    assert prune(START + timedelta(days=60), keep=KEEP, archive=True, home=home, upto=149) == []


def test_an_upgraded_record_is_cut_at_no_head_that_was_signed_without_a_tree(tmp_path: Path) -> None:
    """The first head with one covers what those before it signed: a cut in there would take leaves from it."""
    signer = Signer.of_home(tmp_path, get_config().home.id)
    before: SignedHead | None = None
    for day in range(3):
        append_here("a", "b", "c", {})
        (row,) = AuditRecord.objects.order_by("-seq")[:1]
        before = signer.sign(Head(row.seq, bytes(row.hash)), before, START + timedelta(days=day))
        with connection.cursor() as cursor:
            cursor.execute(ADD_SIGNATURE, (before.number, before.body, before.signature))
    append_here("a", "b", "c", {})
    first = sign_head(START + timedelta(days=20), tmp_path)
    assert first is not None
    assert (first.first, first.seq) == (1, 4)
    assert shorten(tmp_path, 49) == []
    assert shorten(tmp_path, 60) == [4]
    assert verify_database(tmp_path).intact


def test_a_head_of_which_records_are_gone_proves_nothing(tmp_path: Path, tamper: Tamper) -> None:
    for _ in range(3):
        append_here("a", "b", "c", {})
    head = sign_head(START, tmp_path)
    assert head is not None
    assert len(proved(head, records_at([2, 3]))) == 2
    tamper("DELETE FROM audit_record WHERE seq = 1")
    with pytest.raises(AuditBroken, match="of the records 1 to 3 under signed head 1 the database has 2"):
        proved(head, records_at([2, 3]))


def test_a_cut_follows_the_one_before(home: Path) -> None:
    shorten(home, 40)
    known: dict[str, Any] = {"number": 4, "hash": b"x", "file": "", "sha256": "", "at": START}
    with connection.cursor() as cursor:
        for after, seq in ((0, 100), (25, 100), (75, 100), (50, 50)):
            cursor.execute(ADD_ANCHOR, {**known, "after": after, "seq": seq})
            assert cursor.fetchone() is None
    assert [one.seq for one in anchors()] == [50]


def test_a_clock_that_was_wrong_for_a_while_makes_nothing_old(tmp_path: Path) -> None:
    append_here("a", "b", "c", {})
    sign_head(START + timedelta(days=100), tmp_path)
    append_here("a", "b", "c", {})
    sign_head(datetime(1970, 1, 1, tzinfo=UTC), tmp_path)
    assert prune(START + timedelta(days=101), keep=KEEP, archive=True, home=tmp_path) == []


def test_a_segment_that_is_kept_elsewhere_is_a_note_and_a_changed_one_is_found(home: Path) -> None:
    shorten(home)
    (file,) = segments_folder(home).iterdir()
    whole = gzip.decompress(file.read_bytes())
    file.write_bytes(gzip.compress(whole.replace(b'"subject":"run/5"', b'"subject":"run/8"', 1)))
    assert Finding.EDITED in {finding for finding, _ in found(verify_database(home))}
    file.write_bytes(gzip.compress(whole[: len(whole) // 2]))
    assert not verify_database(home).intact
    file.unlink()
    report = verify_database(home)
    assert report.intact
    assert "verify it where it is kept" in report.notes[0]


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (["DELETE FROM audit_record WHERE seq = 200"], (Finding.REMOVED, 200)),
        (["DELETE FROM audit_record WHERE seq = 151"], (Finding.REMOVED, 151)),
        (["UPDATE audit_anchor SET hash = sha256('x')"], (Finding.REWRITTEN, 150)),
        (
            [
                "DELETE FROM audit_record WHERE seq <= 200",
                "UPDATE audit_anchor SET seq = 200, hash = (SELECT decode(body::jsonb ->> 'hash', 'hex')"
                " FROM audit_signature WHERE seq = 200)",
            ],
            (Finding.REMOVED, 1),
        ),
        (["DELETE FROM audit_anchor"], (Finding.REMOVED, 1)),
    ],
)
def test_whoever_shortens_it_by_hand_is_found(
    home: Path, tamper: Tamper, statements: list[str], expected: tuple[Finding, int]
) -> None:
    shorten(home)
    tamper(*statements)
    assert expected in found(verify_database(home))


def test_a_broken_stretch_is_not_put_away(home: Path, tamper: Tamper) -> None:
    tamper("UPDATE audit_record SET body = replace(body, 'ana', 'eve') WHERE seq = 20")
    with pytest.raises(AuditBroken, match="record 20 was changed"):
        shorten(home)
    assert anchors() == []
    assert AuditRecord.objects.filter(seq__lte=150).count() == 150


def test_a_crash_between_cut_and_deletion_is_made_up_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("appliance.audit.retention._delete", _die)
        with pytest.raises(KeyboardInterrupt):
            shorten(home)
    assert AuditRecord.objects.filter(seq__lte=150).count() == 150
    assert verify_database(home).intact
    assert shorten(home) == []
    assert not AuditRecord.objects.filter(seq__lte=150).exists()
    assert verify_database(home).intact


def _die(upto: int) -> None:
    raise KeyboardInterrupt


def test_the_database_lets_go_of_nothing_that_was_not_cut_off(home: Path) -> None:
    shorten(home)
    with connect() as db, pytest.raises(psycopg.errors.InsufficientPrivilege):
        db.execute("DELETE FROM audit_record WHERE seq = 151")
    with connect() as db, pytest.raises(psycopg.errors.InsufficientPrivilege):
        db.execute("UPDATE audit_anchor SET seq = 300")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM audit_anchor")
        assert cursor.fetchone() == (1,)
