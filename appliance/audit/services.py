"""Putting on record, in the caller's transaction; signing heads; reading the chain."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from django.db import connection as django_connection
from django.db import transaction
from psycopg import AsyncConnection

from appliance.audit import sql
from appliance.audit.chain import AuditEntry, Head, Record, columns
from appliance.audit.errors import AuditBroken, KeyUnusable
from appliance.audit.heads import HeadsFile, SignedHead, Signer, public_key_file, read_heads
from appliance.audit.heads import heads_file as heads_file_of
from appliance.audit.verify import ChainCheck, Finding, Report, check_heads, compare_heads
from appliance.lib.config import get_config
from appliance.lib.jsontypes import JsonMapping

__all__ = [
    "AuditEntry",
    "Executor",
    "append",
    "append_async",
    "append_here",
    "records_after",
    "sign_head",
    "signed_heads",
    "verify_database",
]

_BATCH = 2000


class Executor(Protocol):
    """A psycopg connection or cursor, or the cursor of a Django connection."""

    def execute(self, query: Any, params: Any = ..., /) -> Any: ...


def append(executor: Executor, entries: Sequence[AuditEntry]) -> None:
    """Put entries on record in the caller's transaction: one statement.

    The head stays locked until the transaction ends, so this comes last in it: audited transactions queue
    behind each other, and two that lock other rows after it could wait for each other.
    """
    if entries:
        executor.execute(sql.APPEND, columns(entries))


async def append_async(connection: AsyncConnection[Any], entries: Sequence[AuditEntry]) -> None:
    """As ``append``, on an asynchronous connection."""
    if entries:
        await connection.execute(sql.APPEND, columns(entries))


def append_here(kind: str, principal: str, subject: str, detail: JsonMapping) -> None:
    """Put one entry on record on Django's connection."""
    with django_connection.cursor() as cursor:
        append(cursor, [AuditEntry(kind, principal, subject, detail)])


def sign_head(now: datetime, home: Path | None = None) -> SignedHead | None:
    """Sign the head if it has moved, keep the signature and append it to ``audit/heads.jsonl``.

    Raises AuditBroken when the head does not fit its record, KeyUnusable. Call it outside a transaction: the
    file is written after the commit, and a head that the file lacks is written with the next one.
    """
    folder = home or get_config().home.path
    head, last = _head(), _last_signature()
    signed: SignedHead | None = None
    if head.seq and (last is None or head.seq > last.seq):
        _check_head(head)
        signer = Signer.of_home(folder, get_config().home.id)
        signed = signer.sign(head, last, now)
        with transaction.atomic(durable=True), django_connection.cursor() as cursor:
            cursor.execute(sql.ADD_SIGNATURE, (signed.number, signed.body, signed.signature))
            if cursor.fetchone() is None:
                signed = None  # another process signed in the same moment
    elif head.seq and last is not None and head.seq < last.seq:
        raise AuditBroken(f"the chain ends at {head.seq}, but {last.seq} records were signed")
    with HeadsFile(folder) as file:
        file.append(list(signed_heads(after=file.last_number())))
    return signed


def signed_heads(after: int = 0) -> Iterator[SignedHead]:
    """The signed heads that the database keeps, in order. Raises ExportUnreadable for a damaged one."""
    with django_connection.cursor() as cursor:
        cursor.execute(sql.SIGNATURES, (after,))
        for _number, body, signature in cursor.fetchall():
            yield SignedHead.of(body, bytes(signature))


def records_after(seq: int, upto: int) -> Iterator[Record]:
    """The records ``seq + 1`` to ``upto``, in order, read in batches."""
    while True:
        with django_connection.cursor() as cursor:
            cursor.execute(sql.RECORDS, (seq, upto, _BATCH))
            rows = cursor.fetchall()
        for row in rows:
            seq, at, kind, principal, subject, body, previous, own = row
            yield Record(seq, at, kind, principal, subject, body, bytes(previous), bytes(own))
        if len(rows) < _BATCH:
            return
        seq = rows[-1][0]


def bounds() -> tuple[Head | None, int]:
    """The head and the highest record, from one snapshot: a box at work may be verified."""
    with django_connection.cursor() as cursor:
        cursor.execute(sql.BOUNDS)
        seq, own_hash, highest = cursor.fetchone()
    return (Head(seq, bytes(own_hash)) if seq is not None else None), highest


def verify_database(home: Path, public_key: bytes | None = None) -> Report:
    """Check the whole chain against its head, the signed heads and the home's heads.jsonl.

    ``public_key`` is the key one trusts; without it, the home's own. Raises ExportUnreadable, KeyUnusable.
    """
    key = public_key or trusted_key(home)
    exported = list(read_heads(heads_file_of(home)))
    kept = list(signed_heads())
    head, highest = bounds()
    report = Report(key=key.hex())
    compare_heads(kept, exported, report)
    good = check_heads(kept, key, report, "the database") + check_heads(exported, key, report, "heads.jsonl")
    if head is None:
        report.add(Finding.HEAD_REMOVED, highest, "the head of the chain is gone from the database")
    elif highest > head.seq:
        report.add(Finding.INSERTED, head.seq + 1, f"records beyond the head {head.seq}, up to {highest}")
    ChainCheck(good, report).walk(records_after(0, head.seq if head else highest), head)
    return report


def trusted_key(home: Path) -> bytes:
    """The home's public key; made with the private one where nothing was signed yet. Raises KeyUnusable."""
    file = public_key_file(home)
    try:
        if file.exists():
            return bytes.fromhex(file.read_text().strip())
    except (OSError, ValueError) as error:
        raise KeyUnusable(f"the public key {file} cannot be read: {error}") from error
    return Signer.of_home(home, get_config().home.id).public_key


def _head() -> Head:
    with django_connection.cursor() as cursor:
        cursor.execute(sql.HEAD)
        row = cursor.fetchone()
    if row is None:
        raise AuditBroken("the head of the audit record is gone")
    return Head(row[0], bytes(row[1]))


def _last_signature() -> SignedHead | None:
    with django_connection.cursor() as cursor:
        cursor.execute(sql.LAST_SIGNATURE)
        row = cursor.fetchone()
    return SignedHead.of(row[1], bytes(row[2])) if row else None


def _check_head(head: Head) -> None:
    with django_connection.cursor() as cursor:
        cursor.execute(sql.RECORD_HASH, (head.seq,))
        row = cursor.fetchone()
    if row is None or bytes(row[0]) != head.hash:
        raise AuditBroken(
            f"the head of the audit record does not fit record {head.seq}",
            hint="manage.py audit verify shows where the chain was changed",
        )
