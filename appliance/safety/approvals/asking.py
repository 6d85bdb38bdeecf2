"""The engine's side of approvals: read those of a step, ask for one, close one. All in the caller's transaction.

The caller holds the run's row: whoever decides takes it first as well, so nobody decides between two of these.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from appliance.accounts.domain import Role
from appliance.accounts.principal import hand_of
from appliance.audit.chain import AuditEntry
from appliance.lib.digest import sha256_hex
from appliance.lib.identity import uuid7
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import plain_object, plain_text
from appliance.safety.approvals import sql
from appliance.safety.approvals.domain import Asked, Purpose, Reached, State, Subject, Terms

LETTERS = "ABCDEFGHJKMNPQRSTUVWXYZ23456789"
"""Of codes that people type on a phone: none that looks like another."""


@dataclass(frozen=True, slots=True)
class Wish:
    """Permission that is wanted: for which attempt of which step, of what, on whose authority, and why asked."""

    run_id: UUID
    step: str
    attempt: int
    task: str
    subject: Subject
    terms: Terms
    requested_by: str
    shown: str
    reason: str = ""
    rule: str = ""
    purpose: Purpose = Purpose.GATE
    reached: Reached = Reached.UNCLEAR

    @property
    def requester(self) -> str:
        """The person behind it, or the principal's own name where it is nobody."""
        return hand_of(self.requested_by)


@dataclass(frozen=True, slots=True)
class Opened:
    """An approval that was just asked for. ``token`` is in no row: only the buttons carry it."""

    id: UUID
    code: str
    token: str
    expires_at: datetime
    wish: Wish
    issuer: str = ""

    @property
    def record(self) -> AuditEntry:
        wish = self.wish
        detail: JsonObject = {
            "task": wish.task,
            "run": str(wish.run_id),
            "step": wish.step,
            "kind": wish.subject.kind,
            "issuer": self.issuer,
            "shown": wish.shown,
            "digest": wish.subject.digest,
            "policy": wish.subject.policy,
            "states": dict(wish.subject.states or {}),
            "approvers": wish.terms.approvers.value,
            "names": list(wish.terms.names),
            "self_approval": wish.terms.self_approval,
            "rule": wish.rule,
            "reason": wish.reason,
            "expires_at": self.expires_at.isoformat(),
        }
        return AuditEntry("approval.asked", wish.requested_by, str(self.id), detail)


async def rows_of(connection: AsyncConnection[Any], run_id: UUID, step: str, attempt: int) -> list[Asked]:
    """The approvals of one attempt of a step, oldest first."""
    cursor = connection.cursor(row_factory=tuple_row)
    await cursor.execute(sql.OF_STEP, {"run_id": run_id, "step": step, "attempt": attempt})
    return [asked_of(row) for row in await cursor.fetchall()]


def asked_of(row: Sequence[Any]) -> Asked:
    """A row of ``sql.COLUMNS``."""
    created_at, expires_at = row[5], row[6]
    terms = Terms(Role(row[7]), tuple(row[8]), row[9], expires_at - created_at, row[10])
    digest, policy, states = row[2:5]
    requester, task, decided_at, decided_by, reason = row[11:16]
    return Asked(
        row[0], State(row[1]), digest, policy, states, created_at, expires_at, terms, requester,
        task, decided_at, decided_by, reason, row[16],
    )  # fmt: skip


async def enough_people(connection: AsyncConnection[Any], wish: Wish) -> bool:
    """Whether so many active people could approve as must: else nobody is asked, and nobody waits."""
    terms = wish.terms
    values = {
        "task": wish.task,
        "roles": terms.roles,
        "self_approval": terms.self_approval,
        "requester": wish.requester,
        "requested_by": wish.requested_by,
        "names": list(terms.names) or None,
    }
    cursor = await connection.cursor(row_factory=tuple_row).execute(sql.HOW_MANY, values)
    row = await cursor.fetchone()
    return row is not None and row[0] >= terms.needed


async def by_same_hand(connection: AsyncConnection[Any], approval: UUID) -> bool:
    """Whether it was decided by who asked, or by a hand that counts as theirs; so too where it is gone."""
    cursor = await connection.cursor(row_factory=tuple_row).execute(sql.BY_SAME_HAND, {"id": approval})
    row = await cursor.fetchone()
    return row is None or row[0] is not False


async def ask(connection: AsyncConnection[Any], wish: Wish, now: datetime) -> Opened:
    """Write the row. Its audit record (``record``) is the caller's to append, last."""
    subject, terms = wish.subject, wish.terms
    opened = Opened(uuid7(), new_code(), secrets.token_urlsafe(16), now + terms.expires, wish)
    cursor = await connection.cursor(row_factory=tuple_row).execute(
        sql.ASK,
        {
            "id": opened.id,
            "code": opened.code,
            "token_digest": digest_of(opened.token),
            "purpose": wish.purpose.value,
            "run_id": wish.run_id,
            "step": wish.step,
            "attempt": wish.attempt,
            "task": wish.task,
            "kind": subject.kind,
            "digest": subject.digest,
            "policy": subject.policy,
            "rule": wish.rule[:200],
            "states": Jsonb(plain_object(subject.states or {})),
            "requested_by": wish.requested_by,
            "requester": wish.requester,
            "approvers": terms.approvers.value,
            "names": Jsonb(list(terms.names)),
            "needed": terms.needed,
            "self_approval": terms.self_approval,
            "reason": plain_text(wish.reason)[:1000],
            "shown": plain_text(wish.shown),
            "now": now,
            "expires_at": opened.expires_at,
        },
    )
    written = await cursor.fetchone()
    return replace(opened, issuer=written[0]) if written else opened


async def close(
    connection: AsyncConnection[Any], row: Asked, becomes: State, because: str, now: datetime
) -> bool:
    """Move it on from the state in which it was read; whether it still was."""
    values = {"id": row.id, "was": row.state.value, "becomes": becomes.value, "because": because, "now": now}
    cursor = await connection.execute(sql.CLOSE, values)
    return await cursor.fetchone() is not None


def new_code() -> str:
    """Short enough to type. One that was used before is refused by its index: the step is tried again."""
    return "".join(secrets.choice(LETTERS) for _ in range(6))


def digest_of(token: str) -> str:
    return sha256_hex(token.encode())
