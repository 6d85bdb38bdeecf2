"""Whose a conversation is: the person behind a principal, and what of all conversations they may see."""

from uuid import UUID

from django.db import connection
from django.db.models import Exists, OuterRef, Q, QuerySet

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal, person_of
from appliance.agent.conversations import sql
from appliance.agent.conversations.domain import ConversationKind, NoteScope, Speaker
from appliance.agent.conversations.errors import ConversationUnknown, NobodyTalks
from appliance.agent.conversations.models import AgentConversation, AgentMessage, AgentNote
from appliance.lib.said import say


def person_behind(by: Principal) -> str:
    """A program speaks as the person whose token it has. Raises NobodyTalks for triggers, devices and the box."""
    person = person_of(by.name)
    if person is None:
        raise NobodyTalks(say("%(who)s is no person, and has no conversation", who=by.name))
    return person


def nobody_now(name: str) -> NobodyTalks:
    """Of a token that has ended, and a person who is locked out."""
    return NobodyTalks(say("%(who)s is nobody who may talk here now", who=name))


def seen_by(person: str) -> QuerySet[AgentConversation]:
    """One's own, and those of rooms in which one has written."""
    wrote = AgentMessage.objects.filter(
        conversation=OuterRef("pk"), speaker=Speaker.PERSON.value, author=person
    )
    own = Q(kind=ConversationKind.PERSON.value, person=person)
    return AgentConversation.objects.filter(own | (Q(kind=ConversationKind.ROOM.value) & Exists(wrote)))


def is_hidden_from(by: Principal, run_id: UUID) -> bool:
    """Whether this agent's run goes on with a conversation that is not for ``by``."""
    if by.can(Ability.VIEW_AUDIT):
        return False
    with connection.cursor() as cursor:
        cursor.execute(sql.CONVERSATION_OF_RUN, {"run_id": run_id})
        row = cursor.fetchone()
    return row is not None and not seen_by(person_of(by.name) or "").filter(pk=row[0]).exists()


def one(person: str, conversation_id: int) -> AgentConversation:
    """Raises ConversationUnknown, also for one that is somebody else's."""
    found = seen_by(person).filter(pk=conversation_id).first()
    if found is None:
        raise ConversationUnknown(say("there is no such conversation of yours"))
    return found


def notes_seen_by(person: str) -> QuerySet[AgentNote]:
    """One's own, those of one's rooms, and the box's."""
    return AgentNote.objects.filter(
        Q(scope=NoteScope.PERSON.value, person=person)
        | Q(scope=NoteScope.ROOM.value, conversation__in=seen_by(person))
        | Q(scope=NoteScope.BOX.value)
    )
