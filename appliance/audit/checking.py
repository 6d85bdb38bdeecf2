"""Verifying the record of a box: the database, the signed heads, and the archived segments that join it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from appliance.audit.chain import BEGINNING, Head, Record
from appliance.audit.errors import ExportUnreadable
from appliance.audit.export import verify_export
from appliance.audit.heads import SignedHead, heads_file, read_heads
from appliance.audit.report import Finding, Report
from appliance.audit.retention import PRUNED, Anchor, anchors, segments_folder
from appliance.audit.services import bounds, records_after, signed_heads, trusted_key
from appliance.audit.verify import ChainCheck, check_heads, compare_heads


def verify_database(home: Path, public_key: bytes | None = None) -> Report:
    """Check the whole chain against its head, the signed heads and the home's heads.jsonl, and its archived segments.

    ``public_key`` is the key one trusts; without it, the home's own. Raises ExportUnreadable, KeyUnusable.
    """
    key = public_key or trusted_key(home)
    exported = list(read_heads(heads_file(home)))
    kept = list(signed_heads())
    found = anchors()
    head, highest = bounds()
    report = Report(key=key.hex(), start=found[-1].head if found else BEGINNING)
    cut = max((anchor.number for anchor in found), default=0)
    compare_heads(kept, exported, report, cut)
    good = check_heads(kept, key, report, "the database", upto=cut)
    good += check_heads(exported, key, report, "heads.jsonl", upto=cut)
    if head is None:
        report.add(Finding.HEAD_REMOVED, highest, "the head of the chain is gone from the database")
    elif highest > head.seq:
        report.add(Finding.INSERTED, head.seq + 1, f"records beyond the head {head.seq}, up to {highest}")
    _check_anchors(found, good, report)
    seen = _Watched()
    records = seen.watch(records_after(report.start.seq, head.seq if head else highest))
    ChainCheck(good, report).walk(records, head)
    if found and found[-1].head not in seen.pruned:
        said = f"records up to {found[-1].seq} were taken out, and no record after them says so"
        report.add(Finding.REMOVED, found[-1].after + 1, said)
    for anchor in found:
        _check_segment(home, anchor, key, report)
    if report.archived:
        report.notes.append(
            f"{report.archived} older records are in archived segments, which were checked too"
        )
    return report


class _Watched:
    """Remembers what the record itself says of its having been shortened."""

    def __init__(self) -> None:
        self.pruned: set[Head] = set()

    def watch(self, records: Iterator[Record]) -> Iterator[Record]:
        for record in records:
            if record.kind == PRUNED:
                self.pruned.add(Anchor.head_in(record.body))
            yield record


def _check_anchors(found: list[Anchor], good: list[SignedHead], report: Report) -> None:
    """Each stretch begins where the one before ended, and ends at a head that was signed: the last one always, and
    earlier ones as far as their heads are here. Segments have theirs with them."""
    signed = {(head.number, head.seq, head.hash) for head in good}
    oldest = min([head.number for head in good] + [anchor.number for anchor in found[-1:]], default=0)
    after = 0
    for anchor in found:
        if anchor.after != after:
            report.add(Finding.NOT_JOINED, after + 1, f"no anchor says what became of record {after + 1}")
        if anchor.number >= oldest and (anchor.number, anchor.seq, anchor.hash) not in signed:
            said = f"the record was cut at {anchor.seq}, which no signed head has with this hash"
            report.add(Finding.REWRITTEN, anchor.seq, said)
        after = anchor.seq


def _check_segment(home: Path, anchor: Anchor, key: bytes, report: Report) -> None:
    """An archived stretch that is there must be the one that was archived; kept elsewhere it is checked there."""
    span = f"records {anchor.after + 1} to {anchor.seq}"
    if not anchor.file:
        report.notes.append(f"{span} were dropped as the settings say")
        return
    file = segments_folder(home) / Path(anchor.file).name
    if not file.exists():
        report.notes.append(
            f"{span} are archived in {file.name}, which is not here; verify it where it is kept"
        )
        return
    try:
        own = verify_export(file, key)
    except ExportUnreadable as error:
        report.add(Finding.EXPORT_CHANGED, anchor.after + 1, f"{file.name}: {error}")
        return
    report.archived += own.records
    for problem in own.problems:
        report.add(problem.finding, problem.seq, f"{file.name}: {problem.message}")
    if (own.start.seq, own.head) != (anchor.after, anchor.head):
        said = f"{file.name} has records {own.start.seq + 1} to {own.head.seq}, not {span} as archived"
        report.add(Finding.NOT_JOINED, anchor.after + 1, said)
    elif own.intact and hashlib.sha256(file.read_bytes()).hexdigest() != anchor.sha256:
        report.add(Finding.EXPORT_CHANGED, anchor.after + 1, f"{file.name} is not the file that was archived")


def verify_files(files: list[Path], public_key: bytes | None) -> list[Report]:
    """Exports and segments on their own; of several, each must begin where the one before it ended."""
    reports = [verify_export(file, public_key) for file in files]
    for before, after, file in zip(reports, reports[1:], files[1:], strict=False):
        if after.start != before.head:
            said = f"{file.name} begins after record {after.start.seq}, not where the file before it ends"
            after.add(Finding.NOT_JOINED, after.start.seq + 1, said)
        if after.key != before.key:
            after.add(Finding.NOT_JOINED, after.start.seq + 1, f"{file.name} was signed with another key")
    return reports
