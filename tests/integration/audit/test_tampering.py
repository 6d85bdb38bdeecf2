"""Somebody with the rights of the tables' owner changes the record: it is found, and located, offline."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from appliance.audit.checking import verify_database
from appliance.audit.errors import AuditBroken
from appliance.audit.export import verify_export
from appliance.audit.heads import heads_file, public_key_file
from appliance.audit.report import Finding, Report
from appliance.audit.services import append_here, sign_head
from appliance.lib.config import Config, get_config

Tamper = Callable[..., None]
NOW = datetime(2026, 3, 1, tzinfo=UTC)

# What a careful forger does after a change: every hash from there on fits again, and so does the head.
RECHAIN = """
DO $$
DECLARE r record; link bytea := sha256('millwright audit');
BEGIN
    FOR r IN SELECT seq, body FROM audit_record ORDER BY seq LOOP
        UPDATE audit_record SET prev_hash = link,
            hash = sha256(link || int8send(r.seq) || convert_to(r.body, 'UTF8')) WHERE seq = r.seq;
        link := sha256(link || int8send(r.seq) || convert_to(r.body, 'UTF8'));
    END LOOP;
    UPDATE audit_head SET hash = link, seq = (SELECT max(seq) FROM audit_record);
END $$
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Ten records; heads were signed after the fourth and the eighth."""
    for n in range(1, 11):
        append_here("step.intent", "user:ana", f"run/{n}", {"n": n})
        if n in (4, 8):
            assert sign_head(NOW + timedelta(minutes=n), tmp_path)
    return tmp_path


def found(report: Report) -> set[tuple[Finding, int]]:
    return {(problem.finding, problem.seq) for problem in report.problems}


def test_an_untouched_record_is_intact(home: Path) -> None:
    report = verify_database(home)
    assert report.intact
    assert (report.records, report.heads, report.last_signed) == (10, 2, 8)


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (["UPDATE audit_record SET body = replace(body, 'ana', 'eve') WHERE seq = 6"], (Finding.EDITED, 6)),
        (["UPDATE audit_record SET principal = 'user:eve' WHERE seq = 6"], (Finding.EDITED, 6)),
        (["UPDATE audit_record SET at = at - interval '1 hour' WHERE seq = 6"], (Finding.EDITED, 6)),
        (["UPDATE audit_record SET hash = sha256('x') WHERE seq = 6"], (Finding.EDITED, 6)),
        (["DELETE FROM audit_record WHERE seq = 6"], (Finding.REMOVED, 6)),
        (["DELETE FROM audit_record WHERE seq = 1"], (Finding.REMOVED, 1)),
        (
            [
                "UPDATE audit_record SET seq = 100 WHERE seq = 6",
                "UPDATE audit_record SET seq = 6 WHERE seq = 7",
                "UPDATE audit_record SET seq = 7 WHERE seq = 100",
            ],
            (Finding.EDITED, 6),
        ),
        (["DELETE FROM audit_record WHERE seq > 9"], (Finding.TRUNCATED, 10)),
        (["DELETE FROM audit_record WHERE seq > 6", RECHAIN], (Finding.TRUNCATED, 7)),
        (["DELETE FROM audit_record", "UPDATE audit_head SET seq = 0"], (Finding.TRUNCATED, 1)),
        (
            ["UPDATE audit_record SET body = replace(body, '6', '7') WHERE seq = 6", RECHAIN],
            (Finding.REWRITTEN, 5),
        ),
        (
            [
                "DELETE FROM audit_record WHERE seq = 6",
                "UPDATE audit_record SET seq = -seq WHERE seq > 6",
                "UPDATE audit_record SET seq = -seq - 1 WHERE seq < 0",
                RECHAIN,
            ],
            (Finding.REWRITTEN, 5),
        ),
        (["DELETE FROM audit_signature WHERE number = 2"], (Finding.HEAD_REMOVED, 8)),
        (["DELETE FROM audit_signature"], (Finding.HEAD_REMOVED, 4)),
        (
            ["UPDATE audit_signature SET body = replace(body, '\"seq\":8', '\"seq\":7') WHERE number = 2"],
            (Finding.HEAD_FORGED, 7),
        ),
        (["UPDATE audit_head SET seq = 12"], (Finding.TRUNCATED, 11)),
        (["UPDATE audit_head SET hash = sha256('x')"], (Finding.BROKEN_LINK, 10)),
        (["DELETE FROM audit_head"], (Finding.HEAD_REMOVED, 10)),
    ],
)
def test_each_change_is_found_where_it_is(
    home: Path, tamper: Tamper, statements: list[str], expected: tuple[Finding, int]
) -> None:
    tamper(*statements)
    try:
        assert expected in found(verify_database(home))
    finally:
        tamper("INSERT INTO audit_head VALUES (1, 0, '') ON CONFLICT DO NOTHING")


def test_a_shortened_heads_file_is_found(home: Path) -> None:
    for n in range(11, 13):
        append_here("test", "a", str(n), {})
        sign_head(NOW + timedelta(hours=n), home)
    file = heads_file(home)
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:1]))
    assert (Finding.HEAD_REMOVED, 8) in found(verify_database(home))


def test_record_and_signatures_shortened_together_are_found_by_the_file(home: Path, tamper: Tamper) -> None:
    tamper("DELETE FROM audit_record WHERE seq > 5", "DELETE FROM audit_signature WHERE number > 1", RECHAIN)
    assert (Finding.TRUNCATED, 6) in found(verify_database(home))


def test_another_key_is_not_the_one_that_is_trusted(home: Path) -> None:
    key = bytes.fromhex(public_key_file(home).read_text())
    public_key_file(home).write_text("00" * 32)
    assert Finding.HEAD_FORGED in {finding for finding, _ in found(verify_database(home))}
    assert verify_database(home, key).intact


def test_a_broken_chain_is_not_signed(home: Path, tamper: Tamper) -> None:
    tamper("UPDATE audit_head SET hash = sha256('x')")
    with pytest.raises(AuditBroken):
        sign_head(NOW, home)
    tamper("DELETE FROM audit_record WHERE seq > 6", RECHAIN)
    with pytest.raises(AuditBroken, match="8 records were signed"):
        sign_head(NOW, home)


def test_a_head_that_has_not_moved_is_not_signed_again(home: Path) -> None:
    assert sign_head(NOW, home) is not None
    assert sign_head(NOW, home) is None


def test_a_head_that_missed_the_file_is_written_with_the_next(home: Path) -> None:
    file = heads_file(home)
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:-1]))
    assert verify_database(home).intact
    assert verify_database(home).notes
    sign_head(NOW, home)
    assert len(file.read_text().splitlines()) == 3
    assert verify_database(home).intact
    assert not verify_database(home).notes


@pytest.fixture
def command_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The commands look into this home."""
    moved = get_config().model_copy(update={"home": type(get_config().home)(home, get_config().home.id)})
    for module in ("appliance.audit.services", "appliance.runs.management.commands.audit"):
        monkeypatch.setattr(f"{module}.get_config", lambda: moved)
    assert isinstance(moved, Config)
    return home


def test_the_command_tells_and_fails(
    command_home: Path, tamper: Tamper, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("audit", "verify")
    assert "10 records, 2 signed heads, signed up to record 8: intact" in capsys.readouterr().out
    tamper("DELETE FROM audit_record WHERE seq = 6")
    with pytest.raises(SystemExit) as status:
        call_command("audit", "verify", "--json")
    assert status.value.code == 1
    told = json.loads(capsys.readouterr().out)
    assert told["intact"] is False
    assert told["problems"][0] == {"finding": "removed", "seq": 6, "message": "record 6 is missing"}


def test_an_export_is_verified_without_the_database(
    command_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = command_home / "audit.jsonl"
    call_command("audit", "export", "-o", str(file))
    assert "10 records and 3 signed heads" in capsys.readouterr().out
    connection.close()
    key = str(public_key_file(command_home))
    call_command("audit", "verify", str(file), "--key", key, "--json")
    assert json.loads(capsys.readouterr().out)["last_signed"] == 10
    text = file.read_text()
    file.write_text(text.replace('"subject":"run/6"', '"subject":"run/7"'))
    assert (Finding.EDITED, 6) in found(verify_export(file))
    with pytest.raises(CommandError, match="public key"):
        call_command("audit", "verify", str(file), "--key", str(file))
