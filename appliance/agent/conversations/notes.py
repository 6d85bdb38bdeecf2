"""What an agent is to remember: it proposes, a person accepts; and standing instructions, which only people give."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db import transaction

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal, is_person
from appliance.agent.conversations.domain import (
    LONGEST_NOTE,
    MOST_NOTES,
    MOST_STANDING,
    ConversationKind,
    NoteScope,
    NoteState,
)
from appliance.agent.conversations.errors import NoteRefused, NoteUnknown
from appliance.agent.conversations.models import AgentConversation, AgentNote
from appliance.agent.conversations.whose import notes_seen_by, one, person_behind
from appliance.audit.services import append_here
from appliance.lib.plain import plain_text
from appliance.lib.said import say
from appliance.safety.read_only import refuse_changes

STATES = {
    NoteState.PROPOSED: say("proposed"),
    NoteState.ACCEPTED: say("accepted"),
    NoteState.REJECTED: say("rejected"),
    NoteState.STANDING: say("standing"),
    NoteState.ENDED: say("ended, and counts no more"),
}
LIVING = (NoteState.PROPOSED, NoteState.ACCEPTED, NoteState.STANDING)
MOST_PROPOSED = 40
"""That wait for a person, of each person, room or box: an agent that proposes without end is not listened to."""


def notes(
    by: Principal, *, states: Collection[NoteState] = LIVING, before: int | None = None, limit: int = 50
) -> list[AgentNote]:
    """One's own, those of one's rooms and the box's, the newest first. Raises NotAllowed, NobodyTalks."""
    by.require(Ability.CHAT)
    rows = notes_seen_by(person_behind(by)).filter(state__in=[one.value for one in states]).order_by("-id")
    return list((rows.filter(pk__lt=before) if before else rows)[: min(limit, 200)])


def may_review(by: Principal, note: AgentNote) -> bool:
    """Whether this principal decides about it: their own, or one of a room or the box where they may edit tasks."""
    by.require(Ability.CHAT)
    if note.scope == NoteScope.PERSON:
        return note.person == person_behind(by)
    return by.can(Ability.EDIT_TASKS)


def propose(
    by: Principal,
    text: str,
    scope: NoteScope,
    now: datetime,
    *,
    conversation_id: int | None = None,
    run_id: UUID | None = None,
) -> AgentNote:
    """Something to remember, for a person to look at. The same of one run twice is one.

    Raises NotAllowed, NobodyTalks, NoteRefused, ConversationUnknown, ReadOnlyNow.
    """
    by.require(Ability.CHAT)
    refuse_changes(by)
    said, person = _said(text), person_behind(by)
    with transaction.atomic():
        conversation = _room(person, scope, conversation_id)
        before = (
            AgentNote.objects.filter(run_id=run_id, scope=scope.value, text=said).first() if run_id else None
        )
        if before is not None:
            return before
        note = AgentNote(
            scope=scope.value,
            person=person if scope is NoteScope.PERSON else "",
            conversation=conversation,
            text=said,
            state=NoteState.PROPOSED.value,
            proposed_by=by.name,
            run_id=run_id,
            created_at=now,
        )
        _refuse_more(note, NoteState.PROPOSED, MOST_PROPOSED)
        note.save()
        _put_on_record("note.proposed", by, note)
    return note


def accept(by: Principal, note_id: int, now: datetime) -> AgentNote:
    """From the next turn on the agent is told of it. Raises as ``reject``, and NoteRefused for one too many."""
    by.require(Ability.CHAT)
    _by_own_hand(by)
    return _decide(by, note_id, NoteState.ACCEPTED, now)


def reject(by: Principal, note_id: int, now: datetime) -> AgentNote:
    """Raises NotAllowed, NobodyTalks, NoteUnknown, NoteRefused (it waits for nobody any more), ReadOnlyNow."""
    by.require(Ability.CHAT)
    return _decide(by, note_id, NoteState.REJECTED, now)


def instruct(
    by: Principal,
    text: str,
    now: datetime,
    *,
    scope: NoteScope = NoteScope.PERSON,
    conversation_id: int | None = None,
) -> AgentNote:
    """A standing instruction: it is told whole in each turn, before all that was said.

    Raises NotAllowed, NobodyTalks, NoteRefused, ConversationUnknown, ReadOnlyNow.
    """
    by.require(Ability.CHAT if scope is NoteScope.PERSON else Ability.EDIT_TASKS)
    _by_own_hand(by)
    refuse_changes(by)
    said, person = _said(text), person_behind(by)
    with transaction.atomic():
        note = AgentNote(
            scope=scope.value,
            person=person if scope is NoteScope.PERSON else "",
            conversation=_room(person, scope, conversation_id),
            text=said,
            state=NoteState.STANDING.value,
            standing=True,
            proposed_by=by.name,
            reviewed_by=by.name,
            reviewed_at=now,
            created_at=now,
        )
        _refuse_more(note, NoteState.STANDING, MOST_STANDING)
        note.save()
        _put_on_record("note.standing", by, note)
    return note


def _by_own_hand(by: Principal) -> None:
    """What an agent keeps to from then on is no program's to say: it counts with all rights of the person."""
    if not is_person(by.name):
        raise NoteRefused(say("only a person says what the agent keeps to: in the web admin, or in a chat"))


def end(by: Principal, note_id: int, now: datetime) -> AgentNote:
    """An accepted note or a standing instruction counts no more. Raises as ``reject``."""
    by.require(Ability.CHAT)
    refuse_changes(by)
    with transaction.atomic():
        note = _mine(by, note_id)
        if note.state not in (NoteState.ACCEPTED, NoteState.STANDING):
            raise NoteRefused(
                say(
                    "note %(number)s is %(state)s: there is nothing to end",
                    number=note.pk,
                    state=STATES[NoteState(note.state)],
                )
            )
        note.state, note.ended_at = NoteState.ENDED.value, now
        note.save(update_fields=["state", "ended_at"])
        _put_on_record("note.ended", by, note)
    return note


def _decide(by: Principal, note_id: int, state: NoteState, now: datetime) -> AgentNote:
    refuse_changes(by)
    with transaction.atomic():
        note = _mine(by, note_id)
        if note.state == state:
            return note
        if note.state != NoteState.PROPOSED:
            raise NoteRefused(
                say(
                    "note %(number)s is %(state)s: it waits for nobody any more",
                    number=note.pk,
                    state=STATES[NoteState(note.state)],
                )
            )
        if state is NoteState.ACCEPTED:
            _refuse_more(note, NoteState.ACCEPTED, MOST_NOTES)
        note.state, note.reviewed_by, note.reviewed_at = state.value, by.name, now
        note.save(update_fields=["state", "reviewed_by", "reviewed_at"])
        _put_on_record(f"note.{state.value}", by, note)
    return note


def _mine(by: Principal, note_id: int) -> AgentNote:
    """Locked, for who decides about it."""
    seen = notes_seen_by(person_behind(by)).filter(pk=note_id).exists()
    note = AgentNote.objects.select_for_update().filter(pk=note_id).first() if seen else None
    if note is None:
        raise NoteUnknown(
            say("there is no note %(number)s of yours", number=note_id),
            hint=say("the word notes lists them"),
        )
    if note.scope != NoteScope.PERSON:
        by.require(Ability.EDIT_TASKS)
    return note


def _said(text: str) -> str:
    said = " ".join(plain_text(text).split())
    if not said or len(said) > LONGEST_NOTE:
        raise NoteRefused(
            say("a note has between 1 and %(most)s characters", most=LONGEST_NOTE),
            hint=say("say it shorter, or make two of it"),
        )
    return said


def _room(person: str, scope: NoteScope, conversation_id: int | None) -> AgentConversation | None:
    """The room that a note is of; None for the other scopes."""
    if scope is not NoteScope.ROOM:
        return None
    found = one(person, conversation_id or 0)
    if found.kind != ConversationKind.ROOM:
        raise NoteRefused(say("this conversation is a person's, and no room's"))
    return found


def _refuse_more(note: AgentNote, state: NoteState, most: int) -> None:
    """What is told each time has bounds, and they are kept where it is given."""
    rows = AgentNote.objects.filter(
        scope=note.scope, person=note.person, conversation=note.conversation, state=state.value
    )
    if len(rows.select_for_update().values_list("pk", flat=True)[:most]) >= most:
        raise NoteRefused(
            say("there are %(most)s of these already", most=most),
            hint=say("end or reject one of them first"),
        )


def _put_on_record(kind: str, by: Principal, note: AgentNote) -> None:
    append_here(kind, by.name, f"note/{note.pk}", {"scope": note.scope, "text": note.text})
