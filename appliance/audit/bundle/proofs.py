"""Proving single records: the record itself, a signed head, and the hashes on the way from one to the other."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from appliance.audit.chain import Record, link
from appliance.audit.errors import ExportUnreadable
from appliance.audit.export import record_of, shown
from appliance.audit.heads import SignedHead, signed_by
from appliance.audit.report import Finding, Report
from appliance.audit.tree import path_of, root_by_path
from appliance.audit.verify import columns_that_differ
from appliance.lib.digest import canonical_json


@dataclass(frozen=True, slots=True)
class Proven:
    """A record and the hashes beside its way up to the root of head ``number``."""

    record: Record
    number: int
    path: tuple[bytes, ...]

    def line(self) -> bytes:
        said = {
            "record": shown(self.record),
            "head": self.number,
            "path": [one.hex() for one in self.path],
        }
        return canonical_json(said) + b"\n"

    @classmethod
    def of_line(cls, line: bytes, number: int) -> "Proven":
        """Raises ExportUnreadable."""
        try:
            said = json.loads(line)
            path = tuple(bytes.fromhex(one) for one in said["path"])
            return cls(record_of(said["record"]), int(said["head"]), path)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ExportUnreadable(f"audit.jsonl, line {number}: a record cannot be read") from error


def prove(records: Iterable[Record], head: SignedHead, leaves: Sequence[bytes]) -> Iterator[Proven]:
    """The proofs of records under one head; ``leaves`` are the hashes from ``head.first`` to ``head.seq``."""
    for record in records:
        yield Proven(record, head.number, tuple(path_of(leaves, record.seq - head.first)))


def check_proofs(
    proven: Sequence[Proven], heads: Sequence[SignedHead], public_key: bytes, report: Report
) -> None:
    """Each record is what was signed, in the order of the record; each head is signed by ``public_key``."""
    known: dict[int, SignedHead] = {}
    for head in heads:
        if not signed_by(public_key, head.body, head.signature):
            report.add(Finding.HEAD_FORGED, head.seq, f"signed head {head.number} has a false signature")
        known[head.number] = head
    last = 0
    for one in proven:
        record = one.record
        if record.seq <= last:
            report.add(Finding.REORDERED, record.seq, f"record {record.seq} stands after record {last}")
        last = max(last, record.seq)
        _check(one, known.get(one.number), report)
    report.records, report.heads = len(proven), len(known)
    report.last_signed = max((head.seq for head in known.values()), default=0)


def _check(one: Proven, head: SignedHead | None, report: Report) -> None:
    record = one.record
    if link(record.prev_hash, record.seq, record.body) != record.hash:
        said = f"record {record.seq} was changed: its text has another hash"
        report.add(Finding.EDITED, record.seq, said)
        return
    changed = columns_that_differ(record)
    if changed:
        said = f"record {record.seq} was changed: {', '.join(changed)} differ"
        report.add(Finding.EDITED, record.seq, said)
    if head is None or not head.root:
        report.add(
            Finding.HEAD_REMOVED,
            record.seq,
            f"the signed head {one.number} of record {record.seq} is missing",
        )
        return
    found = root_by_path(record.hash, record.seq - head.first, head.seq - head.first + 1, one.path)
    if found != head.root:
        said = f"record {record.seq} is none of those that were signed at {head.at}"
        report.add(Finding.INSERTED, record.seq, said)
