"""Shortening the record at its beginning, so that what stays and what was archived still prove each other.

A cut is always made at a signed head: its sequence number and hash are the anchor, and the signed head proves it. The
records before it go into a signed segment file, or nowhere, as the settings say. That they went is on record itself.
The heads before it go with them.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from appliance.audit import sql_heads
from appliance.audit import sql_kept as sql
from appliance.audit.chain import Head, Record
from appliance.audit.errors import AuditBroken
from appliance.audit.export import write_export
from appliance.audit.heads import HeadsFile, SignedHead, Signer, give_to_home
from appliance.audit.report import Report
from appliance.audit.services import append_here, records_after, start_of_record
from appliance.audit.verify import ChainCheck
from appliance.lib.config import get_config
from appliance.lib.folders import held_folder, inside
from appliance.lib.home import owner_of
from appliance.lib.jsontypes import JsonObject

PRUNED = "audit.pruned"
MOST_RECORDS = 100_000
"""Of one segment, where heads are signed often enough."""
_BATCH = 5000


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where the record was cut: records ``after + 1`` to ``seq`` are in ``file``, or dropped where that is empty."""

    seq: int
    after: int
    number: int
    hash: bytes
    file: str
    sha256: str
    at: datetime

    @property
    def head(self) -> Head:
        return Head(self.seq, self.hash)

    @staticmethod
    def head_in(body: str) -> Head:
        """The cut that a record of it tells; an impossible one where it tells none."""
        try:
            detail = json.loads(body)["detail"]
            return Head(int(detail["upto"]), bytes.fromhex(detail["hash"]))
        except (ValueError, KeyError, TypeError):
            return Head(-1, b"")


def anchors() -> list[Anchor]:
    with connection.cursor() as cursor:
        cursor.execute(sql.ANCHORS)
        return [_anchor(*row) for row in cursor.fetchall()]


def _anchor(
    seq: int, after: int, number: int, own_hash: bytes, file: str, sha256: str, at: datetime
) -> Anchor:
    return Anchor(seq, after, number, bytes(own_hash), file, sha256, at)


def segments_folder(home: Path) -> Path:
    return home / "audit" / "segments"


def prune(
    now: datetime, *, keep: timedelta, archive: bool, upto: int | None = None, home: Path | None = None
) -> list[Anchor]:
    """Archive or drop what was signed more than ``keep`` ago, and nothing beyond record ``upto``; give the cuts made.

    What is broken stays where it is. Call it outside a transaction. Raises AuditBroken, KeyUnusable, OSError.
    """
    folder, made = home or get_config().home.path, []
    before = (now - keep).astimezone(UTC).isoformat()
    while (cut := _cut(before)) is not None and (upto is None or cut.seq <= upto):
        start = start_of_record()
        heads = _heads_between(start.seq, cut.seq)
        _check(heads, start, records_after(start.seq, cut.seq))
        file = _archived(folder, start, cut, heads, now) if archive else None
        digest = hashlib.sha256(file.read_bytes()).hexdigest() if file else ""
        anchor = Anchor(cut.seq, start.seq, cut.number, cut.hash, file.name if file else "", digest, now)
        if not _anchored(anchor):
            break  # another process has cut in the same moment
        made.append(anchor)
    _delete(start_of_record().seq)
    _forget_heads(folder)
    return made


def _cut(before: str) -> SignedHead | None:
    values: dict[str, Any] = {"after": start_of_record().seq, "before": before, "most": MOST_RECORDS}
    with connection.cursor() as cursor:
        cursor.execute(sql.CUT, values)
        row = cursor.fetchone()
    return SignedHead.of(row[1], bytes(row[2])) if row else None


def _heads_between(after: int, upto: int) -> list[SignedHead]:
    """With the head at ``after`` itself: it proves where the segment begins."""
    with connection.cursor() as cursor:
        cursor.execute(sql.HEADS_BETWEEN, {"after": after, "upto": upto})
        return [SignedHead.of(body, bytes(signature)) for body, signature in cursor.fetchall()]


def _archived(home: Path, start: Head, cut: SignedHead, heads: list[SignedHead], now: datetime) -> Path:
    folder, box = segments_folder(home), get_config().home.id
    signer = Signer.of_home(home, box)
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    file = folder / f"{start.seq + 1:012d}-{cut.seq:012d}.jsonl.gz"
    with held_folder(folder, mode=0o750) as held:
        made = inside(held) / file.name
        write_export(made, records_after(start.seq, cut.seq), heads, signer, box, now, start)
        made.chmod(0o640)
        give_to_home(home, held)
        if os.geteuid() == 0:
            os.chown(file.name, *owner_of(home), dir_fd=held, follow_symlinks=False)
    return file


def _check(heads: list[SignedHead], start: Head, records: Iterator[Record]) -> None:
    """Evidence that does not hold together is not put away. Raises AuditBroken."""
    report = Report(start=start)
    ChainCheck(heads, report).walk(records, None)
    if not report.intact:
        raise AuditBroken(
            f"the record was not shortened, because it is broken: {report.problems[0].message}",
            hint="manage.py audit verify shows where",
        )


def _anchored(anchor: Anchor) -> bool:
    detail: JsonObject = {
        "from": anchor.after + 1,
        "upto": anchor.seq,
        "hash": anchor.hash.hex(),
        "head": anchor.number,
        "file": anchor.file,
        "sha256": anchor.sha256,
    }
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        cursor.execute(
            sql.ADD_ANCHOR,
            {
                "seq": anchor.seq,
                "after": anchor.after,
                "number": anchor.number,
                "hash": anchor.hash,
                "file": anchor.file,
                "sha256": anchor.sha256,
                "at": anchor.at,
            },
        )
        if cursor.fetchone() is None:
            return False
        append_here(PRUNED, "box", "audit", detail)
    return True


def _forget_heads(home: Path) -> None:
    """The heads before the last cut: what they cover is archived with them, or was dropped."""
    with connection.cursor() as cursor:
        cursor.execute(sql_heads.FIRST_KEPT)
        (first,) = cursor.fetchone()
    if first is None:
        return
    while True:
        with connection.cursor() as cursor:
            cursor.execute(sql_heads.DELETE, {"first": first, "most": _BATCH})
            if cursor.rowcount < _BATCH:
                break
    with HeadsFile(home) as file:
        file.begin_at(first)


def _delete(upto: int) -> None:
    """Once anchored the records may go at any time: what a crash left behind goes with the next call."""
    while True:
        with connection.cursor() as cursor:
            cursor.execute(sql.DELETE, {"upto": upto, "most": _BATCH})
            if cursor.rowcount < _BATCH:
                return
