"""Finds every edit, removal, reorder and truncation of a chain. Pure: records and heads in, findings out."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from json import loads

from appliance.audit.chain import Head, Record, link
from appliance.audit.heads import SignedHead, signed_by
from appliance.audit.report import Finding, Report
from appliance.audit.tree import Growing


def check_heads(
    heads: Sequence[SignedHead],
    public_key: bytes,
    report: Report,
    where: str,
    *,
    whole: bool = True,
    upto: int = 0,
) -> list[SignedHead]:
    """The heads that hold: rightly signed, none left out, each naming the one before.

    Not ``whole``: a stretch of them, which may begin with any. ``upto``: the last number at which they may begin
    besides 1, as those before may go with their records, and are on their way while this looks.
    """
    good: list[SignedHead] = []
    expected, previous = 1, ""
    if heads and (not whole or 1 < heads[0].number <= upto):
        expected, previous = heads[0].number, heads[0].previous
    for head in heads:
        if not signed_by(public_key, head.body, head.signature):
            report.add(
                Finding.HEAD_FORGED, head.seq, f"signed head {head.number} in {where} has a false signature"
            )
            expected, previous = head.number + 1, head.digest
            continue
        if head.number != expected:
            report.add(
                Finding.HEAD_REMOVED, head.seq, f"{where} goes from head {expected - 1} to head {head.number}"
            )
        elif head.previous != previous:
            report.add(Finding.HEAD_FORGED, head.seq, f"head {head.number} in {where} follows another head")
        good.append(head)
        expected, previous = head.number + 1, head.digest
    return good


def compare_heads(
    kept: Sequence[SignedHead], exported: Sequence[SignedHead], report: Report, first: int = 0
) -> None:
    """Where the heads of the database and of heads.jsonl disagree, from head ``first`` on: earlier ones may go.

    The database is written first, so the file may lack the newest head of a box that was cut off.
    """
    ours = {head.number: head for head in kept if head.number >= first}
    theirs = {head.number: head for head in exported if head.number >= first}
    newest = max(ours, default=0)
    for number in sorted(theirs.keys() - ours.keys()):
        seq = theirs[number].seq
        report.add(Finding.HEAD_REMOVED, seq, f"signed head {number} is in heads.jsonl, not in the database")
    for number in sorted(ours.keys() - theirs.keys()):
        if number == newest:
            report.notes.append(f"heads.jsonl does not hold head {number} yet")
        else:
            report.add(
                Finding.HEAD_REMOVED, ours[number].seq, f"signed head {number} was taken out of heads.jsonl"
            )
    for number in sorted(ours.keys() & theirs.keys()):
        if ours[number].body != theirs[number].body:
            report.add(
                Finding.HEAD_FORGED, ours[number].seq, f"head {number} differs between database and file"
            )


class ChainCheck:
    """Walks the records once; memory does not grow with their number. They begin after ``report.start``."""

    def __init__(self, heads: Sequence[SignedHead], report: Report) -> None:
        self._signed: dict[int, list[SignedHead]] = {}
        start = report.start
        distinct = {head.body: head for head in heads}
        for head in distinct.values():
            if head.seq > start.seq:
                self._signed.setdefault(head.seq, []).append(head)
        self._report = report
        report.heads = len(distinct)
        report.last_signed = max(self._signed, default=start.seq)
        if start.seq and not any(h.seq == start.seq and h.hash == start.hash for h in distinct.values()):
            said = (
                f"no signed head says that the record before the first one here was {start.seq} with its hash"
            )
            report.add(Finding.REWRITTEN, start.seq + 1, said)
        self._last_good = start.seq
        self._expected = start.seq + 1
        self._previous = start.hash
        self._tree = Growing()
        self._gaps: list[tuple[int, int]] = []
        self._late: set[int] = set()

    def walk(self, records: Iterable[Record], head: Head | None) -> None:
        """Check all records, then the end against ``head`` and against the last signed head."""
        for record in records:
            self._step(record)
        self._close_gaps()
        self._end(head)
        self._report.problems.sort(key=lambda problem: (problem.seq, problem.finding))

    def _step(self, record: Record) -> None:
        report, seq = self._report, record.seq
        report.records += 1
        if seq < self._expected:
            self._late.add(seq)
            report.add(Finding.REORDERED, seq, f"record {seq} stands after record {self._expected - 1}")
        elif seq > self._expected:
            self._gaps.append((self._expected, seq - 1))
        elif record.prev_hash != self._previous:
            report.add(
                Finding.BROKEN_LINK,
                seq,
                f"record {seq} does not follow record {seq - 1} as it stands: one of the two was changed",
            )
        self._check_content(record)
        self._tree.add(record.hash)
        self._check_signed(record)
        if seq >= self._expected:
            self._expected, self._previous = seq + 1, record.hash

    def _check_content(self, record: Record) -> None:
        if link(record.prev_hash, record.seq, record.body) != record.hash:
            self._report.add(
                Finding.EDITED, record.seq, f"record {record.seq} was changed: its text has another hash"
            )
        changed = columns_that_differ(record)
        if changed:
            self._report.add(
                Finding.EDITED, record.seq, f"record {record.seq} was changed: {', '.join(changed)} differ"
            )

    def _check_signed(self, record: Record) -> None:
        for head in self._signed.pop(record.seq, ()):
            if head.hash == record.hash:
                self._last_good = max(self._last_good, record.seq)
                self._check_tree(head)
            else:
                self._report.add(
                    Finding.REWRITTEN,
                    self._last_good + 1,
                    f"records {self._last_good + 1} to {record.seq} are not those signed at {head.at}",
                )

    def _check_tree(self, head: SignedHead) -> None:
        """The root of a head is the one of the records; where some are missing that is another finding."""
        if not head.root:
            return
        tree, expected = self._tree, head.seq - head.first + 1
        if tree.count == expected and tree.root != head.root:
            said = f"signed head {head.number} has the root of other records than {head.first} to {head.seq}"
            self._report.add(Finding.REWRITTEN, head.first, said)
        self._tree = Growing()

    def _close_gaps(self) -> None:
        for first, last in self._gaps:
            inside = sorted(seq for seq in self._late if first <= seq <= last)
            start = first
            for seq in [*inside, last + 1]:
                if start < seq:
                    self._report.add(Finding.REMOVED, start, f"{_span(start, seq - 1)} missing")
                start = seq + 1

    def _end(self, head: Head | None) -> None:
        report, last = self._report, self._expected - 1
        report.head = Head(last, self._previous)
        # The signed end was popped if its record was seen; what is left stands for records that are gone.
        signed_end = max((seq for seq in self._signed if seq > last), default=0)
        end = max(signed_end, head.seq if head else 0)
        if end > last:
            witness = "signed" if signed_end >= end else "the head"
            said = "were signed" if witness == "signed" else "are counted by the head"
            report.add(Finding.TRUNCATED, last + 1, f"{_span(last + 1, end)} missing at the end: they {said}")
        elif head is not None and head.seq < last:
            report.add(
                Finding.INSERTED, head.seq + 1, f"{_span(head.seq + 1, last)} beyond the head {head.seq}"
            )
        elif head is not None and head.hash != self._previous:
            report.add(Finding.BROKEN_LINK, last, f"the head does not fit record {last}")


def _span(first: int, last: int) -> str:
    return f"record {first} is" if first == last else f"records {first} to {last} are"


def columns_that_differ(record: Record) -> list[str]:
    """The columns that screens search by, against the text that is hashed."""
    try:
        said = loads(record.body)
        at = datetime.fromisoformat(said["at"])
        pairs = [(name, getattr(record, name), said[name]) for name in ("kind", "principal", "subject")]
    except (ValueError, KeyError, TypeError):
        return ["the text"]
    return [name for name, kept, told in pairs if kept != told] + (["at"] if at != record.at else [])
