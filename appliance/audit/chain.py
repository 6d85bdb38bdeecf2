"""The chain's pure rules: what a record's text is, and how it is linked to the one before."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from appliance.lib.digest import canonical_json
from appliance.lib.jsontypes import JsonMapping, JsonObject
from appliance.lib.masking import KNOWN
from appliance.lib.plain import plain_object, plain_text

GENESIS = hashlib.sha256(b"millwright audit").digest()
LONGEST_DETAIL = 64 * 1024
_KEPT = 4096


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Something to put on record. ``detail`` holds no secret: it can never be taken back. Known ones are masked."""

    kind: str
    principal: str
    subject: str
    detail: JsonMapping = field(default_factory=dict)
    at: datetime = field(default_factory=_now)


@dataclass(frozen=True, slots=True)
class Record:
    """A link of the chain as it is kept. ``body`` is the exact text that is hashed."""

    seq: int
    at: datetime
    kind: str
    principal: str
    subject: str
    body: str
    prev_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain: the number of records and the hash that stands for all of them."""

    seq: int
    hash: bytes


BEGINNING = Head(0, GENESIS)


def link(previous: bytes, seq: int, body: str) -> bytes:
    """The hash of a record; the database function ``audit_append`` computes the same."""
    return hashlib.sha256(previous + seq.to_bytes(8, "big", signed=True) + body.encode()).digest()


def body_of(entry: AuditEntry) -> str:
    """The text of a record. Oversize details are kept as their digest, size and beginning."""
    detail: JsonObject = plain_object(entry.detail)
    text = canonical_json(detail)
    if KNOWN.stands_in(text.decode()):
        detail = KNOWN.object(detail)
        text = canonical_json(detail)
    if len(text) > LONGEST_DETAIL:
        detail = {
            "oversize": True,
            "bytes": len(text),
            "sha256": hashlib.sha256(text).hexdigest(),
            "begins": text[:_KEPT].decode("utf-8", "ignore"),
        }
    return canonical_json(
        {
            "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
            "kind": plain_text(entry.kind),
            "principal": plain_text(entry.principal),
            "subject": KNOWN.text(plain_text(entry.subject)),
            "detail": detail,
        }
    ).decode()


def columns(entries: Sequence[AuditEntry]) -> tuple[list[str], list[str], list[str], list[str], list[str]]:
    """The five arrays of ``audit_append``."""
    return (
        [entry.at.astimezone(UTC).isoformat(timespec="microseconds") for entry in entries],
        [plain_text(entry.kind) for entry in entries],
        [plain_text(entry.principal) for entry in entries],
        [KNOWN.text(plain_text(entry.subject)) for entry in entries],
        [body_of(entry) for entry in entries],
    )
