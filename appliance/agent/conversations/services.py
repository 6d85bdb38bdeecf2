"""Conversations with the agent: looking at them, saying something, forgetting what was said."""

from datetime import datetime, timedelta
from typing import TypeVar
from uuid import UUID

from django.db import connection, transaction
from django.utils.translation import gettext

from appliance.accounts.domain import Ability
from appliance.accounts.models import ApiToken, User
from appliance.accounts.principal import Principal
from appliance.agent.conversations import sql
from appliance.agent.conversations.domain import ConversationKind
from appliance.agent.conversations.models import AgentConversation, AgentMessage
from appliance.agent.conversations.starting import mark_anew
from appliance.agent.conversations.whose import nobody_now, one, person_behind, seen_by
from appliance.audit.services import append_here
from appliance.bridges import chats
from appliance.bridges.gateway import chat as gateway
from appliance.lib.identity import uuid7
from appliance.safety.read_only import refuse_changes
from appliance.tasks.arming import load_phrases
from appliance.tasks.phrase_table import Heard

LARGEST_PAGE = 200
T = TypeVar("T")


def conversations(by: Principal, *, before: int | None = None, limit: int = 50) -> list[AgentConversation]:
    """One's own and those of rooms in which one has written, the newest first. Raises NotAllowed, NobodyTalks."""
    by.require(Ability.CHAT)
    rows = seen_by(person_behind(by)).order_by("-id")
    return list((rows.filter(pk__lt=before) if before else rows)[: min(limit, LARGEST_PAGE)])


def own(by: Principal) -> AgentConversation | None:
    """The one of the person themselves; None before the first word. Raises NotAllowed, NobodyTalks."""
    by.require(Ability.CHAT)
    return AgentConversation.objects.filter(
        kind=ConversationKind.PERSON.value, person=person_behind(by)
    ).first()


def messages(
    by: Principal,
    conversation_id: int,
    *,
    before: int | None = None,
    after: int | None = None,
    limit: int = 50,
) -> list[AgentMessage]:
    """The newest first; with ``after`` those that came after that number, the oldest first.

    Raises NotAllowed, NobodyTalks, ConversationUnknown.
    """
    by.require(Ability.CHAT)
    rows = AgentMessage.objects.filter(conversation=one(person_behind(by), conversation_id))
    most = min(limit, LARGEST_PAGE)
    if after is not None:
        return list(rows.filter(pk__gt=after).order_by("id")[:most])
    return list((rows.filter(pk__lt=before) if before else rows).order_by("-id")[:most])


def say(by: Principal, text: str, now: datetime, *, key: str = "") -> str:
    """Put it into the durable inbox, of the web chat or, for a program, of the gateway; gives its identifier there.

    What follows is as everywhere in chat: commands, sentences, the router, then who takes what nothing else
    understood. A program that gives the same ``key`` again says nothing new.
    Raises NotAllowed, NobodyTalks, MessageRefused, NotSaid.
    """
    by.require(Ability.CHAT)
    username = person_behind(by)
    if by.name.startswith("token:"):
        token = ApiToken.objects.select_related("user").filter(
            user__username=username, name=by.name.partition("/")[2], revoked_at=None
        )
        identifier = key or str(uuid7())
        gateway.say(_there(token.first(), by), identifier, text, now)
        return identifier
    person = User.objects.filter(username=username, is_active=True).first()
    return str(chats.post_message(_there(person, by), text, now).pk)


def _there(found: T | None, by: Principal) -> T:
    if found is None:
        raise nobody_now(by.name)
    return found


def forget(by: Principal, conversation_id: int, now: datetime) -> int:
    """Delete what was said; gives how many messages.

    Notes, instructions and what people said no to stay; runs under way go on.

    One's own, or a room's for who may edit tasks. Raises NotAllowed, NobodyTalks, ConversationUnknown, ReadOnlyNow.
    """
    by.require(Ability.CHAT)
    refuse_changes(by)
    with transaction.atomic():
        found = _to_change(by, conversation_id)
        count, _ = AgentMessage.objects.filter(conversation=found).delete()
        if found.kind == ConversationKind.PERSON:
            chats.forget(found.person)
        append_here("conversation.forgotten", by.name, f"conversation/{found.pk}", {"messages": count})
    return count


def begin_anew(by: Principal, conversation_id: int, now: datetime) -> None:
    """What was said stays to be read; the agent is told of it no more, but of what people said no to.

    Raises NotAllowed, NobodyTalks, ConversationUnknown, ReadOnlyNow.
    """
    by.require(Ability.CHAT)
    refuse_changes(by)
    found = one(person_behind(by), conversation_id)
    mark_anew(found, gettext("A new conversation from here on."), now)


def _to_change(by: Principal, conversation_id: int) -> AgentConversation:
    found = one(person_behind(by), conversation_id)
    if found.kind == ConversationKind.ROOM:
        by.require(Ability.EDIT_TASKS)
    return found


def under_way(by: Principal, conversation_id: int) -> UUID | None:
    """The run that works on an answer there, the oldest one. Raises NotAllowed, NobodyTalks, ConversationUnknown."""
    by.require(Ability.CHAT)
    found = one(person_behind(by), conversation_id)
    with connection.cursor() as cursor:
        cursor.execute(sql.UNDER_WAY, {"conversation_id": found.pk})
        row = cursor.fetchone()
    return row[0] if row else None


def assistant_here(platform: str = chats.WEBCHAT, conversation: str = "") -> str:
    """The task that takes what nothing else understood in a private chat there; empty where there is none."""
    found = load_phrases().otherwise(Heard("?", platform, conversation, ""), private=True)
    return found[0].armed.definition.name if found else ""


def prune(now: datetime, keep: timedelta) -> int:
    """Delete what is older than ``keep``; gives how many messages went. What people told the agent to keep to stays."""
    with connection.cursor() as cursor:
        cursor.execute(sql.PRUNE, {"before": now - keep})
        count = int(cursor.rowcount)
        for statement in (sql.PRUNE_NOTES, sql.PRUNE_PROPOSED, sql.PRUNE_DENIALS, sql.PRUNE_EMPTY):
            cursor.execute(statement, {"before": now - keep})
    return count
