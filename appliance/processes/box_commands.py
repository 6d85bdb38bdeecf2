"""What a command by MQTT means and does: the services of the web admin, for an account that was granted a role.

``millwright/<box>/cmd/<name>`` or ``…/cmd/<name>/<account>``; the answer goes to the same address with ``/reply``.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.accounts.domain import Ability
from appliance.accounts.mqtt import ANY, principal_of
from appliance.accounts.principal import NotAllowed, Principal
from appliance.audit.services import append_here
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.plain import plain_text
from appliance.processes import answered
from appliance.runs import services as runs
from appliance.runs.models import Run
from appliance.safety.allstop import current
from appliance.tasks.services import set_enabled

LONGEST = 64 * 1024
_NAME = re.compile(r"[a-z][a-z_]{0,39}")
_ACCOUNT = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


class CommandRefused(MillwrightError):
    """A command that cannot be read, or that does not exist."""

    code = "command.refused"


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: Annotated[str | None, Field(max_length=100)] = None
    """Whose answer it is; the same one sent again does nothing and gets the same answer."""


class RunBody(_Body):
    task: Annotated[str, Field(max_length=100)]
    vars: dict[str, Any] = Field(default_factory=dict)


class CancelBody(_Body):
    run: UUID


class SwitchBody(_Body):
    task: Annotated[str, Field(max_length=100)]


@dataclass(frozen=True, slots=True)
class Command:
    """One message on a command address. ``account`` is ANY where the address names none."""

    name: str
    account: str
    payload: bytes
    retained: bool = False

    @property
    def id(self) -> str | None:
        """What the caller calls it, as far as that can be read."""
        body = _object(self.payload)
        found = body.get("id") if body is not None else None
        return found[:100] if isinstance(found, str) and found else None


@dataclass(frozen=True, slots=True)
class Answer:
    """The reply as it goes out; ``run_id`` is what a worker should look at; ``right`` is False if it was missing."""

    reply: JsonObject
    run_id: UUID | None = None
    right: bool = True


def read_address(levels: list[str]) -> tuple[str, str] | None:
    """(command, account) of what stands behind ``cmd/``; None for an answer, or what nobody could mean."""
    if len(levels) not in (1, 2) or not _NAME.fullmatch(levels[0]):
        return None
    if len(levels) == 1:
        return levels[0], ANY
    return (levels[0], levels[1]) if levels[1] != "reply" and _ACCOUNT.fullmatch(levels[1]) else None


def answer(command: Command, now: datetime, version: str, *, audit_refusal: bool = True) -> Answer:
    """Do what the command says and keep the answer, in one transaction; a repeat of what succeeded gets that one.

    Everything that is wrong with it is in the answer; only a database that is away raises.
    """
    key = plain_text(f"{command.account}/{command.name}/{command.id}") if command.id else ""
    with transaction.atomic(), connection.cursor() as cursor:
        if key:
            kept = answered.claim(cursor, key, now)
            if kept is not None:
                return Answer(kept)
        by = principal_of(command.account)
        given = _attempt(command, by, now, version)
        if not given.right and audit_refusal:
            why = {"command": command.name, "error": plain_text(str(given.reply["error"]))}
            who = by.name if by else f"mqtt:{command.account}"
            append_here("command.refused", who, f"command/{command.name}", why)
        if key and given.reply["ok"]:
            answered.keep(cursor, key, given.reply)
        elif key:
            answered.let_go(cursor, key)
    return given


def _attempt(command: Command, by: Principal | None, now: datetime, version: str) -> Answer:
    said: JsonObject = {"id": command.id}
    try:
        with transaction.atomic():
            try:
                result = _perform(command, by, now, version)
            except runs.NotAdmitted as error:
                return _refused(said, error)  # committed: the occurrence that says so stays
    except MillwrightError as error:
        return _refused(said, error)
    run = result.get("run") if command.name == "run" else None
    return Answer({**said, "ok": True, "result": result}, UUID(str(run)) if run else None)


def _refused(said: JsonObject, error: MillwrightError) -> Answer:
    told: JsonObject = {"code": error.code, "message": error.message, "hint": error.hint or ""}
    return Answer({**said, "ok": False, "error": told}, right=not isinstance(error, NotAllowed))


def _perform(command: Command, by: Principal | None, now: datetime, version: str) -> JsonObject:
    if by is None:
        raise NotAllowed(
            "this account may give no commands",
            hint="an administrator grants it: devices commands NAME operator",
        )
    if command.retained:
        raise CommandRefused("a retained command is an old one", hint="publish it without retain")
    known = _COMMANDS.get(command.name)
    if known is None:
        raise CommandRefused(f"there is no command {command.name}", hint=f"there are: {', '.join(_COMMANDS)}")
    body, ability, perform = known
    if not by.can_somewhere(ability):  # the service asks about the very task
        by.require(ability)
    return perform(_read(body, command.payload), by, now, version)


def _read(body: type[_Body], payload: bytes) -> Any:
    if len(payload) > LONGEST:
        raise CommandRefused(f"a command of {len(payload)} bytes", hint=f"at most {LONGEST}")
    found = _object(payload)
    if found is None:
        raise CommandRefused("a command is a JSON object", hint='as in {"id": "1", "task": "heartbeat"}')
    try:
        return body.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CommandRefused(
            f"{where}: {first['msg']}", hint=f"it takes {', '.join(body.model_fields)}"
        ) from None


def _object(payload: bytes) -> dict[str, Any] | None:
    if not payload.strip():
        return {}
    try:
        found = json.loads(payload[: LONGEST + 1])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _run(body: RunBody, by: Principal, now: datetime, version: str) -> JsonObject:
    inputs: JsonObject = {"vars": body.vars} if body.vars else {}
    said = f"command of {by.name}"
    return {"run": str(runs.start_task(body.task, by, now, inputs=inputs, trigger="command", reason=said))}


def _cancel(body: CancelBody, by: Principal, now: datetime, version: str) -> JsonObject:
    runs.cancel(body.run, by)
    return {"run": str(body.run)}


def _enable(body: SwitchBody, by: Principal, now: datetime, version: str) -> JsonObject:
    set_enabled(body.task, True, by, now)
    return {"task": body.task, "enabled": True}


def _disable(body: SwitchBody, by: Principal, now: datetime, version: str) -> JsonObject:
    set_enabled(body.task, False, by, now)
    return {"task": body.task, "enabled": False}


def _status(body: _Body, by: Principal, now: datetime, version: str) -> JsonObject:
    unfinished = Run.whole.filter(state__in=["queued", "running", "waiting"]).order_by()
    counts: dict[str, JsonValue] = dict(unfinished.values_list("state").annotate(Count("id")))
    stop = current()
    return {"version": version, "runs": counts, "allstop": {"level": stop.level.value, "reason": stop.reason}}


_COMMANDS: dict[str, tuple[type[_Body], Ability, Callable[[Any, Principal, datetime, str], JsonObject]]] = {
    "run": (RunBody, Ability.RUN_TASKS, _run),
    "cancel": (CancelBody, Ability.CANCEL_RUNS, _cancel),
    "enable": (SwitchBody, Ability.EDIT_TASKS, _enable),
    "disable": (SwitchBody, Ability.EDIT_TASKS, _disable),
    "status": (_Body, Ability.VIEW, _status),
}
