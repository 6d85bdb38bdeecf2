"""What an agent is to remember, over HTTP: its proposals for people to review, and their standing instructions."""

from collections.abc import Collection
from datetime import UTC, datetime

from django.http import HttpRequest
from ninja import Router

from appliance.accounts.domain import Ability
from appliance.agent.conversations import notes
from appliance.agent.conversations.domain import NoteState
from webadmin.api.auth import caller
from webadmin.api.conversation_schemas import NoteOut, NotesOut, StandingIn
from webadmin.api.schemas import Limit

router = Router(tags=["notes"])


@router.get(
    "", response=NotesOut, summary="Proposed and accepted notes, and standing instructions; newest first"
)
def list_notes(
    request: HttpRequest,
    state: NoteState | None = None,
    before: int | None = None,
    limit: Limit = 50,
) -> NotesOut:
    """Yours, those of your rooms, and the box's; with ``state`` only those."""
    by = caller(request, Ability.CHAT).principal
    states: Collection[NoteState] = (state,) if state else notes.LIVING
    found = notes.notes(by, states=states, before=before, limit=limit)
    following = found[-1].pk if len(found) == limit else None
    return NotesOut(items=[NoteOut.from_orm(row) for row in found], next=following)


@router.post("", response=NoteOut, summary="Tell the agent what to keep to, always")
def add_standing(request: HttpRequest, given: StandingIn) -> NoteOut:
    """Of a room or the box this needs the right to edit tasks."""
    by = caller(request, Ability.CHAT).principal
    note = notes.instruct(
        by, given.text, datetime.now(UTC), scope=given.scope, conversation_id=given.conversation_id
    )
    return NoteOut.from_orm(note)


@router.post("/{note_id}/accept", response=NoteOut, summary="The agent is to remember it")
def accept(request: HttpRequest, note_id: int) -> NoteOut:
    return NoteOut.from_orm(notes.accept(caller(request, Ability.CHAT).principal, note_id, datetime.now(UTC)))


@router.post("/{note_id}/reject", response=NoteOut, summary="It is not to be remembered")
def reject(request: HttpRequest, note_id: int) -> NoteOut:
    return NoteOut.from_orm(notes.reject(caller(request, Ability.CHAT).principal, note_id, datetime.now(UTC)))


@router.post("/{note_id}/end", response=NoteOut, summary="A note or an instruction counts no more")
def end(request: HttpRequest, note_id: int) -> NoteOut:
    return NoteOut.from_orm(notes.end(caller(request, Ability.CHAT).principal, note_id, datetime.now(UTC)))
