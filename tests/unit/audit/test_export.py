import json
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.audit.errors import ExportUnreadable
from appliance.audit.export import verify_export, write_export
from appliance.audit.report import Finding
from tests.audit_chain import START, Chain, make_chain


@pytest.fixture
def chain() -> Chain:
    return make_chain(10, (4, 10))


@pytest.fixture
def export(chain: Chain, tmp_path: Path) -> Path:
    file = tmp_path / "audit.jsonl"
    write_export(file, chain.records, chain.heads, chain.signer, "0123456789ab", START)
    return file


def lines_of(file: Path) -> list[str]:
    return file.read_text().splitlines(keepends=True)


def test_an_export_proves_itself_without_a_database(export: Path, chain: Chain) -> None:
    report = verify_export(export, chain.signer.public_key)
    assert report.intact
    assert (report.records, report.last_signed) == (10, 10)


def test_an_export_without_any_record_is_intact(tmp_path: Path) -> None:
    file, empty = tmp_path / "empty.jsonl", make_chain(0, ())
    write_export(file, empty.records, empty.heads, empty.signer, "0123456789ab", START)
    assert verify_export(file).intact


def edit(lines: list[str]) -> None:
    lines[7] = lines[7].replace("ana", "eve")


def remove(lines: list[str]) -> None:
    del lines[7]


def swap(lines: list[str]) -> None:
    lines[7], lines[8] = lines[8], lines[7]


def cut(lines: list[str]) -> None:
    del lines[7:]


def cut_but_the_end(lines: list[str]) -> None:
    del lines[7:-1]


def cut_records_and_heads(lines: list[str]) -> None:
    del lines[7:-1]
    del lines[2]


def add_after_the_end(lines: list[str]) -> None:
    lines.append(lines[-2])


@pytest.mark.parametrize(
    ("tamper", "finding"),
    [
        (edit, Finding.EDITED),
        (remove, Finding.REMOVED),
        (swap, Finding.REORDERED),
        (cut, Finding.TRUNCATED),
        (cut_but_the_end, Finding.TRUNCATED),
        (cut_records_and_heads, Finding.EXPORT_CHANGED),
        (add_after_the_end, Finding.EXPORT_CHANGED),
    ],
)
def test_every_change_of_an_export_is_found(
    export: Path, tamper: Callable[[list[str]], None], finding: Finding
) -> None:
    lines = lines_of(export)
    tamper(lines)
    export.write_text("".join(lines))
    assert finding in {problem.finding for problem in verify_export(export).problems}


def test_an_export_made_anew_with_another_key_is_not_trusted(
    export: Path, chain: Chain, tmp_path: Path
) -> None:
    forged, file = make_chain(10, (4, 10)), tmp_path / "forged.jsonl"
    write_export(file, forged.records, forged.heads, forged.signer, "0123456789ab", START)
    assert verify_export(file).intact, "it agrees with itself"
    assert not verify_export(file, chain.signer.public_key).intact


@pytest.mark.parametrize(
    "text", ["", "no json\n", "[]\n", '{"format": "other/1"}\n', '{"format": "millwright-audit/1"}\n']
)
def test_what_is_no_export_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "x.jsonl"
    file.write_text(text)
    with pytest.raises(ExportUnreadable):
        verify_export(file)
    with pytest.raises(ExportUnreadable):
        verify_export(tmp_path / "absent.jsonl")


def test_damaged_lines_are_told_by_their_number(export: Path) -> None:
    lines = lines_of(export)
    lines[5] = lines[5][:50] + "\n"
    export.write_text("".join(lines))
    with pytest.raises(ExportUnreadable, match="line 6"):
        verify_export(export)
    lines[5] = json.dumps({"record": {"seq": "x"}}) + "\n"
    export.write_text("".join(lines))
    with pytest.raises(ExportUnreadable, match="line 6"):
        verify_export(export)
