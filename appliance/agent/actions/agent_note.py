"""``agent_note``: put before people what an agent wants to remember. Made by an agent's call, never written."""

from django.db import transaction

from appliance.accounts.domain import Role
from appliance.accounts.present import principal_named
from appliance.actions.contract import ActionKind, EffectClass, Params, StepContext, StepResult
from appliance.agent.conversations import notes
from appliance.agent.conversations.before import Asked, asked_in
from appliance.agent.conversations.domain import NoteScope
from appliance.agent.errors import QueryRefused
from appliance.lib.errors import MillwrightError
from appliance.lib.in_django import in_django
from appliance.lib.jsontypes import JsonObject


class AgentNoteParams(Params):
    text: str
    """What is to be remembered."""
    scope: NoteScope = NoteScope.PERSON
    """Whom it is about."""


class AgentNoteAction(ActionKind[AgentNoteParams]):
    """A second time it is the same note: it is known by its run and its text."""

    name = "agent_note"
    params = AgentNoteParams
    for_authors = False
    default_timeout = 30.0

    def effect(self, params: AgentNoteParams) -> EffectClass:
        return EffectClass.IDEMPOTENT

    async def perform(self, arguments: JsonObject, context: StepContext) -> StepResult:
        async with context.connect() as connection:
            asked = await asked_in(connection, context.run_id)
        try:
            number = await in_django(_propose, arguments, asked, context)
        except MillwrightError as error:
            return StepResult.failed(str(error), retryable=False)
        return StepResult.ok(f"proposed as note {number}; a person has to accept it")


def _propose(arguments: JsonObject, asked: Asked | None, context: StepContext) -> int:
    by = principal_named(context.principal, Role(context.ceiling))
    if by is None:
        raise QueryRefused(f"{context.principal} is nobody who may propose anything here now")
    scope = NoteScope(str(arguments["scope"]))
    if scope is NoteScope.ROOM and (asked is None or asked.person):
        scope = NoteScope.PERSON
    with transaction.atomic():
        context.fence.hold_here()
        note = notes.propose(
            by,
            str(arguments["text"]),
            scope,
            context.now,
            conversation_id=asked.conversation_id if asked else None,
            run_id=asked.root if asked else context.run_id,
        )
    return note.pk
