"""Keeping what a person said before the run that it starts, and what the box itself answered."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.agent.conversations import sql
from appliance.agent.conversations.domain import ConversationKind, Speaker, cut
from appliance.agent.conversations.keeping import LONGEST_TOLD
from appliance.agent.conversations.models import AgentConversation, AgentMessage
from appliance.agent.conversations.whose import person_behind
from appliance.events import ConversationSaid
from appliance.events.services import record
from appliance.lib.plain import plain_text


@dataclass(frozen=True, slots=True)
class Where:
    """The platform's own conversation. ``private``: nobody else reads it, so it is the person's one conversation."""

    platform: str
    place: str
    private: bool


def heard(
    by: Principal, where: Where, text: str, now: datetime, *, key: str, run_id: UUID | None = None
) -> AgentMessage:
    """Keep what somebody said, once for each ``key``. With a ``run_id`` it is what that run answers.

    Raises NotAllowed, NobodyTalks.
    """
    by.require(Ability.CHAT)
    return _keep(by, where, Speaker.PERSON, person_behind(by), text, now, key, run_id)


def answered(by: Principal, where: Where, text: str, now: datetime, *, key: str) -> AgentMessage:
    """Keep what the box itself answered to it. Raises NotAllowed, NobodyTalks."""
    by.require(Ability.CHAT)
    return _keep(by, where, Speaker.BOX, "millwright", text, now, key, None)


def conversation_of(by: Principal, where: Where, now: datetime) -> AgentConversation:
    """The person's own, or the room's; made where there is none yet. Raises NotAllowed, NobodyTalks."""
    by.require(Ability.CHAT)
    person = person_behind(by)
    named = (
        {"kind": ConversationKind.PERSON.value, "person": person}
        if where.private
        else {"kind": ConversationKind.ROOM.value, "platform": where.platform, "room": where.place[:200]}
    )
    found, _ = AgentConversation.objects.get_or_create(**named, defaults={"created_at": now, "last_at": now})
    return found


def take_back(run_id: UUID) -> None:
    """The run that it was to start was not let in: it started nothing."""
    AgentMessage.objects.filter(run_id=run_id, speaker=Speaker.PERSON.value).update(run_id=None)


def _keep(
    by: Principal,
    where: Where,
    speaker: Speaker,
    author: str,
    text: str,
    now: datetime,
    key: str,
    run_id: UUID | None,
) -> AgentMessage:
    said = cut(plain_text(text))
    with transaction.atomic():
        found = conversation_of(by, where, now)
        message, new = AgentMessage.objects.get_or_create(
            key=key[:250],
            speaker=speaker.value,
            defaults={
                "conversation": found,
                "author": author,
                "text": said,
                "platform": where.platform,
                "place": where.place[:200],
                "run_id": run_id,
                "at": now,
            },
        )
        if new:
            with connection.cursor() as cursor:
                cursor.execute(sql.TOUCH, {"conversation_id": found.pk, "at": now})
                record(cursor, _said(found, message))
    return message


def _said(found: AgentConversation, message: AgentMessage) -> ConversationSaid:
    people = [found.person]
    if found.kind == ConversationKind.ROOM:
        with connection.cursor() as cursor:
            cursor.execute(sql.PEOPLE, {"conversation_id": found.pk})
            people = [row[0] for row in cursor.fetchall()]
    return ConversationSaid(
        conversation_id=found.pk,
        message_id=message.pk,
        speaker=message.speaker,
        author=message.author,
        text=message.text[:LONGEST_TOLD],
        run_id=str(message.run_id or ""),
        people=people,
    )
