"""The all-stop: outside every model and task. Engaged from web, chat, MQTT, HTTP, CLI, or by a file."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import DatabaseError, connection, transaction
from psycopg import AsyncConnection
from psycopg.rows import tuple_row

from appliance.accounts.domain import Ability
from appliance.accounts.principal import BOX, Principal, person_of
from appliance.audit.services import append_here
from appliance.events import AllStopChanged
from appliance.events.hints import poke_from_thread
from appliance.events.services import record
from appliance.lib.config import get_config
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import plain_text
from appliance.safety.errors import ReleaseRefused, SwitchAway
from appliance.safety.stop import AllStop, Level, StopFile

__all__ = [
    "CHANNEL",
    "AllStop",
    "Level",
    "adopt_file",
    "current",
    "current_async",
    "engage",
    "of_row",
    "release",
]

CHANNEL = "millwright_allstop"
"""PostgreSQL notifications on this channel follow each change at its commit; the payload is the epoch."""

READ = """
SELECT s.epoch, s.level, s.since, s.by, s.reason
FROM (SELECT 1) AS one LEFT JOIN safety_allstop s ON s.id = 1
"""

# One row, whatever state the table is in; a level is only ever raised here, never lowered.
# Who engaged by hand while the file was adopted keeps their name on it.
_ENGAGE = """
INSERT INTO safety_allstop AS s (id, epoch, level, since, by, reason)
VALUES (1, 1, %(level)s, %(now)s, %(by)s, %(reason)s)
ON CONFLICT (id) DO UPDATE SET epoch = s.epoch + 1, level = excluded.level, since = excluded.since,
    by = excluded.by, reason = excluded.reason
WHERE s.level <> ALL(%(as_strict)s)
    OR (s.level = excluded.level AND s.by = 'file' AND excluded.by <> 'file')
RETURNING epoch, level, since, by, reason
"""

_RELEASE = """
UPDATE safety_allstop SET epoch = epoch + 1, level = 'none', since = %(now)s, by = %(by)s, reason = %(reason)s
WHERE id = 1 AND level <> 'none'
RETURNING epoch, level, since, by, reason
"""


def of_row(row: Sequence[Any] | None) -> AllStop:
    """The switch of a row of ``READ``, without the file."""
    if row is None or row[0] is None:
        return AllStop()
    return AllStop(row[0], Level(row[1]), row[2], row[3], row[4])


def engage(level: Level, reason: str, by: Principal, now: datetime, home: Path | None = None) -> AllStop:
    """Stop. First by file, so that it holds even if the database is away; then in the database.

    Never lowers a stricter stop. Raises SwitchAway when only the file could be written, and OSError never:
    a full or read-only disk does not keep the database from being told.
    """
    if level is Level.NONE:
        raise ValueError("a stop needs a level; release() ends it")
    file = _file(home)
    file_failure = _write_file(file, level, by, reason)
    try:
        with transaction.atomic():
            changed = _change(_ENGAGE, "allstop.engage", by, reason, now, level)
            if changed is None:
                detail: JsonObject = {"level": level.value, "reason": plain_text(reason), "already": True}
                append_here("allstop.engage", by.name, "allstop", detail)
    except DatabaseError as error:
        where = "nowhere" if file_failure else f"in {file.path} only"
        raise SwitchAway(
            f"the database is away; the stop stands {where}", hint=str(file_failure or "")
        ) from error
    return changed or current(home)


def release(reason: str, by: Principal, now: datetime, home: Path | None = None) -> AllStop:
    """End the stop, in the database and in the file.

    A person does that, by name and with a reason: never a message, a file, a task, or the box by itself.
    Raises ReleaseRefused, NotAllowed, SwitchAway.
    """
    _refuse_nobody(by, reason)
    file = _file(home)
    try:
        with transaction.atomic():
            changed = _change(_RELEASE, "allstop.release", by, reason, now, Level.NONE)
            if changed is None and file.level() is not Level.NONE:
                detail: JsonObject = {"reason": plain_text(reason), "file": True}
                append_here("allstop.release", by.name, "allstop", detail)
            # Before the commit: nobody may see the switch released and adopt the file once more.
            file.remove()
    except DatabaseError as error:
        raise SwitchAway("the database is away; a stop cannot be released without it") from error
    except OSError as error:
        raise SwitchAway(
            f"the file {file.path} cannot be removed: {error.strerror}",
            hint="it belongs to somebody else: run manage.py allstop release as that user, or as root",
        ) from error
    return current(home)


def current(home: Path | None = None) -> AllStop:
    """The switch as it stands, file and database together (Django's connection)."""
    with connection.cursor() as cursor:
        cursor.execute(READ)
        stop = of_row(cursor.fetchone())
    return stop.raised_by_file(_file(home).level())


async def current_async(db: AsyncConnection[Any], home: Path | None = None) -> AllStop:
    """As ``current``, on an asynchronous connection: one statement and one stat."""
    cursor = await db.cursor(row_factory=tuple_row).execute(READ)
    return of_row(await cursor.fetchone()).raised_by_file(_file(home).level())


def adopt_file(now: datetime, home: Path | None = None) -> AllStop | None:
    """Take a stop that somebody engaged by hand, with the file, into the database. None: nothing to do."""
    file = _file(home)
    level = file.level()
    if level is Level.NONE:
        return None
    reason = f"the file {file.path.name} is in the home"
    with transaction.atomic():
        adopted = _change(_ENGAGE, "allstop.engage", Principal("file", BOX.role), reason, now, level)
        if file.level() is Level.NONE:  # released while we waited for the row
            transaction.set_rollback(True)
            return None
        return adopted


def _refuse_nobody(by: Principal, reason: str) -> None:
    if person_of(by.name) is None:
        raise ReleaseRefused(
            f"{by.name} is no person: the all-stop is released by somebody with a name",
            hint="in the web admin, over the API with a person's token, or with manage.py allstop release --as NAME",
        )
    by.require(Ability.RELEASE_STOP)
    if not plain_text(reason).strip():
        raise ReleaseRefused("say why the box may act again", hint="the reason goes on the audit record")


def _change(sql: str, kind: str, by: Principal, reason: str, now: datetime, level: Level) -> AllStop | None:
    """One conditional update with its event, notification and audit record; None when nothing changed."""
    said = plain_text(reason)[:500]
    as_strict = [other.value for other in Level if other.rank >= level.rank and other is not Level.NONE]
    values = {"level": level.value, "now": now, "by": by.name[:200], "reason": said, "as_strict": as_strict}
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        row = cursor.fetchone()
        if row is None:
            return None
        stop = of_row(row)
        event = AllStopChanged(level=stop.level.value, epoch=stop.epoch, reason=said, principal=by.name)
        record(cursor, event)
        cursor.execute("SELECT pg_notify(%s, %s)", (CHANNEL, str(stop.epoch)))
    append_here(kind, by.name, "allstop", {"level": stop.level.value, "epoch": stop.epoch, "reason": said})
    transaction.on_commit(poke_from_thread)
    return stop


def _file(home: Path | None) -> StopFile:
    return StopFile(home or get_config().home.path)


def _write_file(file: StopFile, level: Level, by: Principal, reason: str) -> OSError | None:
    if file.level().rank >= level.rank:
        return None
    try:
        file.write(level, by.name, reason)
    except OSError as error:
        return error
    return None
