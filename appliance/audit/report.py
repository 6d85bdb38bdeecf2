"""What verification saw: findings, and where."""

import hashlib
from dataclasses import dataclass, field
from enum import StrEnum

from appliance.audit.chain import BEGINNING, Head
from appliance.lib.jsontypes import JsonObject


class Finding(StrEnum):
    EDITED = "edited"
    REMOVED = "removed"
    INSERTED = "inserted"
    REORDERED = "reordered"
    BROKEN_LINK = "broken_link"
    TRUNCATED = "truncated"
    REWRITTEN = "rewritten"
    HEAD_FORGED = "head_forged"
    HEAD_REMOVED = "head_removed"
    EXPORT_CHANGED = "export_changed"
    NOT_JOINED = "not_joined"
    FILE_CHANGED = "file_changed"
    FILE_MISSING = "file_missing"
    FILE_ADDED = "file_added"
    ANOTHER_KEY = "another_key"


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding and where: ``seq`` is the first record that it is about."""

    finding: Finding
    seq: int
    message: str


@dataclass(slots=True)
class Report:
    """What verification saw. ``notes`` are remarks that are no sign of tampering."""

    records: int = 0
    start: Head = field(default_factory=lambda: BEGINNING)
    """Where the records begin: after this one, which is archived or dropped; 0: at the beginning."""
    archived: int = 0
    """Records found in archived segments, which join these."""
    heads: int = 0
    last_signed: int = 0
    head: Head = field(default_factory=lambda: BEGINNING)
    key: str = ""
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def intact(self) -> bool:
        return not self.problems

    def add(self, finding: Finding, seq: int, message: str) -> None:
        self.problems.append(Problem(finding, seq, message))

    def trust(self, wanted: str) -> None:
        """``wanted`` is the fingerprint that the key must have (32 digits); empty: any."""
        if wanted and not hashlib.sha256(bytes.fromhex(self.key)).hexdigest().startswith(wanted):
            self.add(Finding.ANOTHER_KEY, 0, "the key is not the one with the given fingerprint")

    def to_json(self) -> JsonObject:
        return {
            "intact": self.intact,
            "records": self.records,
            "start": self.start.seq,
            "archived": self.archived,
            "heads": self.heads,
            "last_signed": self.last_signed,
            "head": {"seq": self.head.seq, "hash": self.head.hash.hex()},
            "key": self.key,
            "problems": [
                {"finding": p.finding.value, "seq": p.seq, "message": p.message} for p in self.problems
            ],
            "notes": list(self.notes),
        }
