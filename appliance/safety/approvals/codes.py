"""One-time codes: an approver's word, carried by telephone and typed at the box while the internet is down."""

import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.hashers import check_password, make_password
from django.db import connection, transaction

from appliance.accounts.principal import Principal, hand_of
from appliance.audit.services import append_here
from appliance.lib.jsontypes import JsonObject
from appliance.safety.approvals import sql
from appliance.safety.approvals.domain import Choice, Refusal, Way, objection
from appliance.safety.approvals.models import Approval
from appliance.safety.approvals.services import Objected, Word, asked, present

LIFETIME = timedelta(minutes=10)
TRIES = 5
DIGITS = 8


def mint(row: Approval, by: Principal, now: datetime, minted_by: str = "") -> str:
    """A code that approves this in the name of ``by``, who must be one who may. Raises Objected.

    ``minted_by``: the principal that makes it, where that is not ``by``. Only its slow hash is kept. A new one
    replaces the one before.
    """
    minted_by = minted_by or by.name
    refused = objection(asked(row), by, now, minted_by)
    if refused is not None:
        raise Objected(refused, row)
    code = "".join(secrets.choice("0123456789") for _ in range(DIGITS))
    values: dict[str, Any] = {
        "id": row.pk,
        "digest": make_password(code),
        "by": hand_of(by.name),
        "minted_by": minted_by,
        "until": min(now + LIFETIME, row.expires_at),
        "now": now,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql.MINT, values)
        if cursor.fetchone() is None:
            raise Objected(Refusal.NOT_OPEN, row)
        detail: JsonObject = {"task": row.task, "step": row.step, "in_the_name_of": by.name}
        append_here("approval.code", minted_by, str(row.pk), detail)
    return code


def word_of(row: Approval, code: str, entered_by: Principal, now: datetime) -> Word:
    """Whose word the code is, as they may decide now; spends one try, committed whatever comes. Raises Objected."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql.TRY, {"id": row.pk, "now": now, "most": TRIES})
        kept = cursor.fetchone()
    typed = "".join(code.split()).replace("-", "")[:20]
    if kept is None or not check_password(typed, kept[0]):
        raise Objected(Refusal.WRONG_CODE, row)
    approver = present(kept[1])
    if approver is None:
        raise Objected(Refusal.ROLE, row)
    _, _, minted_by, issuer = kept
    # Made with a token, the word is no better than that token's.
    word = replace(approver, issuer=issuer)
    return Word(Choice.APPROVE, word, Way.CODE, now, entered_by=entered_by.name, minted_by=minted_by)


def spend(row: Approval) -> None:
    """It is used up, in the transaction of the decision."""
    with connection.cursor() as cursor:
        cursor.execute(sql.SPEND, {"id": row.pk})
