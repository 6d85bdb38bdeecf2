"""Use and limits in the database, on Django's connection; each method is for a thread."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, date, datetime
from typing import Any, ParamSpec, Protocol, TypeVar

from django.db import connection, transaction

from appliance.accounts.principal import Principal
from appliance.audit.services import AuditEntry, append
from appliance.inference.gateway import sql
from appliance.inference.gateway.meter import Counts, Limit, Use

P = ParamSpec("P")
T = TypeVar("T")


class InThread(Protocol):
    """Runs a function that asks the database in a thread, and closes what was opened there."""

    def __call__(self, function: Callable[P, T], /, *args: P.args, **given: P.kwargs) -> Awaitable[T]: ...


class DatabaseLedger:
    """The meter's ``Ledger``."""

    def __init__(self, in_thread: InThread) -> None:
        self._in_thread = in_thread

    async def standing(self, by: Principal, day: date) -> tuple[Limit, Counts]:
        return await self._in_thread(standing, by.name, f"role:{by.role.value}", day)

    async def add(self, uses: Sequence[Use], now: datetime) -> dict[str, Counts]:
        return await self._in_thread(add, uses, now)

    async def refused(self, by: str, why: str, times: int) -> None:
        await self._in_thread(_refused, by, why, times)

    async def tell_hours(self, now: datetime) -> None:
        await self._in_thread(tell_hours, now)


def standing(token: str, role: str, day: date) -> tuple[Limit, Counts]:
    with connection.cursor() as cursor:
        cursor.execute(sql.STANDING, {"token": token, "role": role, "day": day})
        row: Sequence[Any] = cursor.fetchone()
    return Limit(row[0], row[1]), Counts(*(count or 0 for count in row[2:]))


def add(uses: Sequence[Use], now: datetime) -> dict[str, Counts]:
    """Add to the days; gives what they are now."""
    names = ("requests", "prompt_tokens", "generated_tokens", "refused")
    columns = {name: [getattr(counts, name) for _, _, counts in uses] for name in names}
    given: dict[str, Any] = {
        "tokens": [token for token, _, _ in uses],
        "days": [day for _, day, _ in uses],
        "now": now,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql.ADD, {**given, **columns})
        return {row[0]: Counts(*row[1:]) for row in cursor.fetchall()}


@transaction.atomic
def tell_hours(now: datetime) -> None:
    """One record for each token and hour in which it was used, once the hour is over. Never what was said."""
    hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute(sql.TELL, {"hour": hour, "now": now})
        entries = [
            AuditEntry(
                "model.used",
                token,
                "models",
                {
                    "since": since.astimezone(UTC).isoformat(timespec="seconds"),
                    "requests": requests,
                    "prompt_tokens": prompt,
                    "generated_tokens": generated,
                    "refused": refused,
                },
            )
            for token, since, requests, prompt, generated, refused in cursor.fetchall()
        ]
        append(cursor, entries)


@transaction.atomic
def _refused(by: str, why: str, times: int) -> None:
    with connection.cursor() as cursor:
        append(cursor, [AuditEntry("model.refused", by, "models", {"case": why, "times": times})])
