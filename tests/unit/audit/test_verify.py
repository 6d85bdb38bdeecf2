from dataclasses import replace
from typing import Any

import pytest

from appliance.audit.chain import Head
from appliance.audit.report import Finding, Report
from appliance.audit.verify import compare_heads
from tests.audit_chain import Chain, make_chain


def found(report: Report) -> set[tuple[Finding, int]]:
    return {(problem.finding, problem.seq) for problem in report.problems}


def test_an_untouched_chain_is_intact() -> None:
    chain = make_chain()
    report = chain.report(Head(10, chain.records[-1].hash))
    assert report.intact
    assert (report.records, report.heads, report.last_signed) == (10, 2, 8)


def test_an_empty_chain_is_intact() -> None:
    assert make_chain(0, ()).report().intact


@pytest.mark.parametrize("seq", [1, 5, 10])
def test_an_edited_text_is_found_where_it_is(seq: int) -> None:
    chain = make_chain()
    chain.records[seq - 1] = replace(
        chain.records[seq - 1], body=chain.records[seq - 1].body.replace("ana", "eve")
    )
    assert (Finding.EDITED, seq) in found(chain.report())
    assert {problem.seq for problem in chain.report().problems} == {seq}


@pytest.mark.parametrize("column", ["kind", "principal", "subject"])
def test_an_edited_column_is_found_though_its_text_was_left(column: str) -> None:
    chain = make_chain()
    changed: dict[str, Any] = {column: "other"}
    chain.records[4] = replace(chain.records[4], **changed)
    assert found(chain.report()) == {(Finding.EDITED, 5)}


def test_an_edited_time_is_found() -> None:
    chain = make_chain()
    chain.records[4] = replace(chain.records[4], at=chain.records[3].at)
    assert found(chain.report()) == {(Finding.EDITED, 5)}


def test_an_edit_with_a_fitting_hash_breaks_the_next_link() -> None:
    chain = make_chain()
    kept = chain.records[5:]
    chain.records[4] = replace(chain.records[4], body=chain.records[4].body.replace("ana", "eve"))
    chain.rechain(5)
    chain.records[5:] = kept
    assert (Finding.BROKEN_LINK, 6) in found(chain.report())


def test_a_chain_rewritten_to_its_end_does_not_fit_what_was_signed() -> None:
    chain = make_chain()
    chain.records[5] = replace(
        chain.records[5], body=chain.records[5].body.replace("ana", "eve"), principal="user:eve"
    )
    chain.rechain(6)
    assert found(chain.report(Head(10, chain.records[-1].hash))) == {(Finding.REWRITTEN, 5)}


def test_a_removed_record_is_found() -> None:
    chain = make_chain()
    del chain.records[4]
    assert found(chain.report()) == {(Finding.REMOVED, 5)}


def test_removed_and_renumbered_records_are_found() -> None:
    chain = make_chain()
    del chain.records[4]
    chain.records[4:] = [replace(record, seq=record.seq - 1) for record in chain.records[4:]]
    chain.rechain(5)
    assert Finding.REWRITTEN in {finding for finding, _ in found(chain.report())}


def test_reordered_records_are_found() -> None:
    chain = make_chain()
    chain.records[4], chain.records[5] = chain.records[5], chain.records[4]
    assert (Finding.REORDERED, 5) in found(chain.report())
    assert Finding.REMOVED not in {finding for finding, _ in found(chain.report())}


def test_a_record_told_twice_is_found() -> None:
    chain = make_chain()
    chain.records.insert(5, chain.records[4])
    assert found(chain.report()) == {(Finding.REORDERED, 5)}


@pytest.mark.parametrize(("left", "seq"), [(7, 8), (3, 4), (0, 1)])
def test_a_shortened_chain_is_found_by_what_was_signed(left: int, seq: int) -> None:
    chain = make_chain()
    del chain.records[left:]
    assert (Finding.TRUNCATED, seq) in found(chain.report())


def test_a_shortened_chain_is_found_by_its_head() -> None:
    chain = make_chain()
    head = Head(10, chain.records[-1].hash)
    del chain.records[9:]
    assert found(chain.report(head)) == {(Finding.TRUNCATED, 10)}


def test_a_record_beyond_the_head_is_found() -> None:
    chain = make_chain()
    assert found(chain.report(Head(9, chain.records[8].hash))) == {(Finding.INSERTED, 10)}


def forge(chain: Chain) -> None:
    chain.heads[0] = replace(chain.heads[0], body=chain.heads[0].body.replace('"seq":4', '"seq":3'), seq=3)


def leave_out(chain: Chain) -> None:
    del chain.heads[0]


def foreign(chain: Chain) -> None:
    chain.heads[1] = make_chain().heads[1]


@pytest.mark.parametrize(
    ("tamper", "finding"),
    [(forge, Finding.HEAD_FORGED), (leave_out, Finding.HEAD_REMOVED), (foreign, Finding.HEAD_FORGED)],
)
def test_changed_heads_are_found(tamper: object, finding: Finding) -> None:
    chain = make_chain()
    assert callable(tamper)
    tamper(chain)
    assert finding in {f for f, _ in found(chain.report())}


def test_a_huge_gap_costs_nothing() -> None:
    chain = make_chain(3, ())
    chain.records[2] = replace(chain.records[2], seq=2**60)
    assert (Finding.REMOVED, 3) in found(chain.report())


def test_database_and_file_must_tell_the_same_heads() -> None:
    heads = make_chain(10, (2, 4, 6)).heads
    report = Report()
    compare_heads(heads, heads[:2], report)
    assert report.intact
    assert report.notes, "the newest head may be missing in the file: it is written after the database"
    compare_heads(heads, heads[:1], report)
    assert found(report) == {(Finding.HEAD_REMOVED, 4)}
    report = Report()
    compare_heads(heads[:2], heads, report)
    assert found(report) == {(Finding.HEAD_REMOVED, 6)}
