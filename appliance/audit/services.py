"""Putting on record, in the caller's transaction; signing heads; reading the chain."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from django.db import connection as django_connection
from django.db import transaction
from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from appliance.audit import sql, sql_kept
from appliance.audit.chain import BEGINNING, AuditEntry, Head, Record, columns
from appliance.audit.errors import AuditBroken, KeyUnusable
from appliance.audit.heads import HeadsFile, SignedHead, Signer, public_key_file
from appliance.audit.tree import root_of
from appliance.lib.config import get_config
from appliance.lib.jsontypes import JsonMapping

__all__ = [
    "AuditEntry",
    "Executor",
    "append",
    "append_async",
    "append_here",
    "newest_signed_head",
    "records_after",
    "sign_head",
    "signed_heads",
]

_BATCH = 2000
_LEAVES = 50_000


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


async def append_waiting(connection: AsyncConnection[Any]) -> int:
    """Put on record what other transactions left for it (``sql_kept.LATER``), once; give how many there were."""
    cursor = connection.cursor(row_factory=tuple_row)
    if await (await cursor.execute(sql_kept.WAITING)).fetchone() is None:
        return 0
    async with connection.transaction():
        await cursor.execute(sql_kept.TAKE_WAITING)
        rows = sorted(await cursor.fetchall())
        await append_async(connection, [_waiting(*row) for row in rows])
    return len(rows)


def _waiting(
    number: int, at: datetime, kind: str, principal: str, subject: str, detail: JsonMapping
) -> AuditEntry:
    return AuditEntry(kind, principal, subject, detail, at)


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
    head, last = _head(), newest_signed_head()
    signed: SignedHead | None = None
    if head.seq and (last is None or head.seq > last.seq):
        _check_head(head)
        signer = Signer.of_home(folder, get_config().home.id)
        first = (last.seq if last and last.root else start_of_record().seq) + 1
        signed = signer.sign(head, last, now, (first, root_of(hashes_between(first, head.seq))))
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


def hashes_between(first: int, last: int) -> Iterator[bytes]:
    """The hashes of these records: the leaves of a signed head's tree."""
    with django_connection.cursor() as cursor:
        for start in range(first, last + 1, _LEAVES):
            cursor.execute(sql.HASHES, (start, min(last, start + _LEAVES - 1)))
            yield from (bytes(row[0]) for row in cursor.fetchall())


def start_of_record() -> Head:
    """The record before the first one that the database keeps: the last one that was archived or dropped."""
    with django_connection.cursor() as cursor:
        cursor.execute(sql_kept.LAST_ANCHOR)
        row = cursor.fetchone()
    return Head(row[0], bytes(row[1])) if row else BEGINNING


def records_after(seq: int, upto: int) -> Iterator[Record]:
    """The records ``seq + 1`` to ``upto``, in order, read in batches."""
    while True:
        with django_connection.cursor() as cursor:
            cursor.execute(sql.RECORDS, (seq, upto, _BATCH))
            rows = cursor.fetchall()
        yield from map(_record, rows)
        if len(rows) < _BATCH:
            return
        seq = rows[-1][0]


def records_at(seqs: Sequence[int]) -> list[Record]:
    """These records, in order, as far as they are there."""
    with django_connection.cursor() as cursor:
        cursor.execute(sql.RECORDS_AT, (list(seqs),))
        return [_record(row) for row in cursor.fetchall()]


def _record(row: Sequence[Any]) -> Record:
    seq, at, kind, principal, subject, body, previous, own = row
    return Record(seq, at, kind, principal, subject, body, bytes(previous), bytes(own))


def bounds() -> tuple[Head | None, int]:
    """The head and the highest record, from one snapshot: a box at work may be verified."""
    with django_connection.cursor() as cursor:
        cursor.execute(sql.BOUNDS)
        seq, own_hash, highest = cursor.fetchone()
    return (Head(seq, bytes(own_hash)) if seq is not None else None), highest


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


def newest_signed_head() -> SignedHead | None:
    """The one that was signed last; None before the first. Raises ExportUnreadable for a damaged one."""
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
