"""What the commands of a client do: the services of the API, under the rights of its token, once for each ``id``."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Count

from appliance.accounts.domain import Ability
from appliance.accounts.models import ApiToken
from appliance.accounts.principal import NotAllowed
from appliance.accounts.tokens import still_good
from appliance.bridges.gateway import chat
from appliance.lib.digest import sha256_hex
from appliance.lib.errors import MillwrightError
from appliance.lib.jsontypes import JsonObject, JsonValue
from appliance.lib.plain import plain_object, plain_text
from appliance.processes import answered
from appliance.runs import approvals, services
from appliance.runs.models import Run as RunRow
from appliance.safety import allstop
from appliance.safety.approvals.domain import Choice, Way
from appliance.safety.approvals.services import Word
from webadmin.gateway import protocol
from webadmin.gateway.errors import IdReused, TokenEnded
from webadmin.login.noted import note_program


@dataclass(frozen=True, slots=True)
class Caller:
    """Whose connection it is, and from where."""

    token_id: int
    address: str


def obey(command: protocol.Command, caller: Caller, now: datetime) -> protocol.Result | protocol.Error:
    """Do it and keep the answer, in one transaction; the same one again gets that answer.

    What is wrong with it is in the answer. Raises TokenEnded; else only a database that is away.
    """
    token = still_good(caller.token_id, now)
    if token is None:
        raise TokenEnded("the token has ended")
    if isinstance(command, protocol.Status):
        return _plain(command, token, caller, now)
    key = plain_text(f"gateway/{token.pk}/{command.id}")
    digest = sha256_hex(plain_object(command.model_dump(mode="json")))
    with transaction.atomic(), connection.cursor() as cursor:
        kept = answered.claim(cursor, key, now)
        if kept is not None:
            return _again(command, kept, digest)
        given = _plain(command, token, caller, now)
        if isinstance(given, protocol.Result):
            answered.keep(cursor, key, {"digest": digest, "result": given.result})
        else:
            answered.let_go(cursor, key)
    return given


def refused(id_: str | None, error: MillwrightError) -> protocol.Error:
    return protocol.Error(id=id_, code=error.code, message=error.message, hint=error.hint or "")


def _again(command: protocol.Command, kept: JsonObject, digest: str) -> protocol.Result | protocol.Error:
    result = kept.get("result")
    if kept.get("digest") != digest or not isinstance(result, dict):
        error = IdReused("another command had this id", hint="give each command an id of its own")
        return refused(command.id, error)
    return protocol.Result(id=command.id, result=result, repeated=True)


def _plain(
    command: protocol.Command, token: ApiToken, caller: Caller, now: datetime
) -> protocol.Result | protocol.Error:
    """No savepoint around it: what a service puts on record about a refusal is to stay."""
    ability, perform = _COMMANDS[type(command)]
    try:
        if not token.can_somewhere(ability):  # the service asks about the very task
            token.principal.require(ability)
        return protocol.Result(id=command.id, result=perform(command, token, now))
    except NotAllowed as error:
        detail: JsonObject = {"command": command.type, "error": plain_text(error.message)}
        note_program("gateway.refused", token.principal.name, caller.address, detail)
        return refused(command.id, error)
    except MillwrightError as error:
        return refused(command.id, error)


def _status(command: protocol.Status, token: ApiToken, now: datetime) -> JsonObject:
    unfinished = RunRow.whole.filter(state__in=["queued", "running", "waiting"]).order_by()
    counts: dict[str, JsonValue] = dict(unfinished.values_list("state").annotate(Count("id")))
    return {"runs": counts, "allstop": stop_state().model_dump(mode="json")}


def stop_state() -> protocol.StopState:
    return protocol.StopState.model_validate(_stop_values(allstop.current()))


def _stop_values(stop: allstop.AllStop) -> JsonObject:
    return {"level": stop.level.value, "epoch": stop.epoch, "reason": stop.reason, "by": stop.by}


def _run(command: protocol.Run, token: ApiToken, now: datetime) -> JsonObject:
    inputs = plain_object({"vars": command.vars}) if command.vars else {}
    return {"run": str(services.start_task(command.task, token.principal, now, inputs=inputs))}


def _cancel(command: protocol.Cancel, token: ApiToken, now: datetime) -> JsonObject:
    services.cancel(command.run, token.principal)
    return {"run": str(command.run)}


def _decide(command: protocol.Decide, token: ApiToken, now: datetime) -> JsonObject:
    word = Word(Choice(command.type), token.principal, Way.API, now, reason=command.reason)
    row = approvals.decide(command.approval, word)
    return {"approval": str(row.pk), "state": str(row.state), "run": str(row.run_id)}


def _stop(command: protocol.Stop, token: ApiToken, now: datetime) -> JsonObject:
    return _stop_values(allstop.engage(command.level, command.reason, token.principal, now))


def _say(command: protocol.Say, token: ApiToken, now: datetime) -> JsonObject:
    chat.say(token, command.id, command.text, now)
    return {"conversation": chat.conversation_of(token)}


def _ack(command: protocol.Ack, token: ApiToken, now: datetime) -> JsonObject:
    first = chat.acknowledge(token, command.message, now)
    return {"message": str(command.message), "first": first}


_COMMANDS: dict[type[Any], tuple[Ability, Callable[[Any, ApiToken, datetime], JsonObject]]] = {
    protocol.Status: (Ability.VIEW, _status),
    protocol.Run: (Ability.RUN_TASKS, _run),
    protocol.Cancel: (Ability.CANCEL_RUNS, _cancel),
    protocol.Decide: (Ability.APPROVE, _decide),
    protocol.Stop: (Ability.STOP_ALL, _stop),
    protocol.Say: (Ability.CHAT, _say),
    protocol.Ack: (Ability.CHAT, _ack),
}
