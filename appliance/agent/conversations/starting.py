"""Keeping what a person said before the run that it starts, and what the box itself answered."""

from dataclasses import dataclass, field
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
from appliance.lib.jsontypes import JsonObject
from appliance.lib.plain import plain_text

BOX_NAME = "millwright"
ANEW = "anew"
"""In the detail of the line from which on a new conversation is."""


@dataclass(frozen=True, slots=True)
class Where:
    """The platform's own conversation. ``private``: nobody else reads it, so it is the person's one conversation."""

    platform: str
    place: str
    private: bool


def heard(
    by: Principal,
    where: Where,
    text: str,
    now: datetime,
    *,
    key: str,
    run_id: UUID | None = None,
    language: str = "en",
) -> AgentMessage:
    """Keep what somebody said, once for each ``key``. With a ``run_id`` it is what that run answers, in ``language``.

    Raises NotAllowed, NobodyTalks.
    """
    by.require(Ability.CHAT)
    detail: JsonObject = {"language": language} if run_id is not None else {}
    return _keep(by, where, _Words(Speaker.PERSON, person_behind(by), text, key, run_id, detail), now)


def answered(by: Principal, where: Where, text: str, now: datetime, *, key: str) -> AgentMessage:
    """Keep what the box itself answered to it. Raises NotAllowed, NobodyTalks."""
    by.require(Ability.CHAT)
    return _keep(by, where, _Words(Speaker.BOX, BOX_NAME, text, key), now)


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


def mark_anew(found: AgentConversation, text: str, now: datetime) -> AgentMessage:
    """A line from which on what was said before is told no more; a second one right behind it is the same."""
    with transaction.atomic():
        AgentConversation.objects.select_for_update().get(pk=found.pk)
        last = AgentMessage.objects.filter(conversation=found).order_by("-id").first()
        if last is not None and begins_anew(last):
            return last
        mark = AgentMessage.objects.create(
            conversation=found,
            speaker=Speaker.BOX.value,
            author=BOX_NAME,
            text=text,
            detail={ANEW: True},
            at=now,
        )
        AgentConversation.objects.filter(pk=found.pk).update(fresh_after=mark.pk)
        _tell(found, mark)
    return mark


def begins_anew(message: AgentMessage) -> bool:
    """Whether it is no word of anybody, but the line between what was and what is told."""
    return message.detail.get(ANEW) is True


@dataclass(frozen=True, slots=True)
class _Words:
    speaker: Speaker
    author: str
    text: str
    key: str
    run_id: UUID | None = None
    detail: JsonObject = field(default_factory=dict)


def _keep(by: Principal, where: Where, words: _Words, now: datetime) -> AgentMessage:
    with transaction.atomic():
        found = conversation_of(by, where, now)
        message, new = AgentMessage.objects.get_or_create(
            key=words.key[:250],
            speaker=words.speaker.value,
            defaults={
                "conversation": found,
                "author": words.author,
                "text": cut(plain_text(words.text)),
                "platform": where.platform,
                "place": where.place[:200],
                "run_id": words.run_id,
                "detail": words.detail,
                "at": now,
            },
        )
        if new:
            _tell(found, message)
    return message


def _tell(found: AgentConversation, message: AgentMessage) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql.TOUCH, {"conversation_id": found.pk, "at": message.at})
        record(cursor, _said(found, message))


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
