"""A code from the web admin, said in a chat, makes a chat identity act as the person it was shown to."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from appliance.accounts.domain import Ability, Role, allowed
from appliance.accounts.principal import NotAllowed, Principal
from appliance.audit.chain import AuditEntry
from appliance.audit.services import append_async, append_here
from appliance.bridges import sql
from appliance.bridges.identities import Person
from appliance.bridges.messages import InboundMessage
from appliance.bridges.models import PairingCode
from appliance.bridges.secrets import mark
from appliance.safety.allstop import Level, current_async
from appliance.safety.read_only import refuse_changes

VALID_FOR = timedelta(minutes=10)
LENGTH = 8
# No letters that are read or typed as another: 32 ** 8 codes.
LETTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
MOST_TRIES = 5
TRIES_PER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Paired:
    """Who an identity acts as from now on. ``may_receive``: what has no recipient may go to them."""

    username: str
    may_receive: bool


def new_code(person: Person, by: Principal, now: datetime) -> str:
    """A code that links whoever says it to this person, who alone may ask for it; an earlier one is void.

    Raises NotAllowed, ReadOnlyNow.
    """
    if by.name != f"user:{person.username}":
        raise NotAllowed("a person links their own chat, logged in at the web admin")
    refuse_changes(by)
    code = "".join(secrets.choice(LETTERS) for _ in range(LENGTH))
    PairingCode.objects.update_or_create(
        person_id=person.pk, defaults={"digest": _digest(code), "expires_at": now + VALID_FOR}
    )
    append_here("chat_identity.code", by.name, f"user/{person.username}", {})
    return f"{code[:4]}-{code[4:]}"


async def pair(
    connection: AsyncConnection[Any], platform: str, message: InboundMessage, code: str, now: datetime
) -> Paired | None:
    """The person whose code it is, in the caller's transaction; None for any other, after too many, and while
    nothing may be changed.

    The identity is there already: whoever writes is written down.
    """
    if (await current_async(connection)).at_least(Level.READ_ONLY):
        return None
    who = {"platform": platform, "user_id": message.user_id}
    tried = await connection.execute(
        sql.TRY_PAIRING, {**who, "now": now, "since": now - TRIES_PER, "most": MOST_TRIES}
    )
    if await tried.fetchone() is None:
        return None
    typed = "".join(character for character in code.upper() if character in LETTERS)[:LENGTH]
    found = await connection.execute(sql.PAIR, {**who, "digest": _digest(typed), "now": now})
    row = await found.fetchone()
    if row is None:
        return None
    subject = f"{platform}/{message.user_id}"
    await append_async(
        connection, [AuditEntry("chat_identity.linked", f"user:{row[0]}", subject, {"person": row[0]})]
    )
    return Paired(row[0], allowed(Role(row[1]), Ability.MANAGE_BRIDGES))


def _digest(code: str) -> str:
    return mark(f"pairing/{code}")
