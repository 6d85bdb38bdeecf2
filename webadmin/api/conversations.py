"""Conversations with the agent over HTTP: one's own, and those of one's rooms."""

from datetime import UTC, datetime

from django.http import HttpRequest
from ninja import Router, Status

from appliance.accounts.domain import Ability
from appliance.agent.conversations import services
from webadmin.api.auth import caller
from webadmin.api.conversation_schemas import (
    ConversationOut,
    ConversationsOut,
    ForgottenOut,
    MessageOut,
    MessagesOut,
    SaidOut,
    SayIn,
)
from webadmin.api.schemas import Limit

router = Router(tags=["conversations"])


@router.get(
    "", response=ConversationsOut, summary="Your conversation with the agent, and those of your rooms"
)
def list_conversations(
    request: HttpRequest, before: int | None = None, limit: Limit = 50
) -> ConversationsOut:
    by = caller(request, Ability.CHAT).principal
    found = services.conversations(by, before=before, limit=limit)
    following = found[-1].pk if len(found) == limit else None
    return ConversationsOut(items=[ConversationOut.from_orm(row) for row in found], next=following)


@router.post("/say", response={202: SaidOut}, summary="Say something to the box")
def say(request: HttpRequest, said: SayIn) -> Status[SaidOut]:
    """As in a chat: commands, sentences of tasks and requests that the box knows are done by themselves; what nothing
    else understood goes to the assistant, where one is on. A program's answer comes through the gateway, too."""
    by = caller(request, Ability.CHAT).principal
    return Status(202, SaidOut(id=services.say(by, said.text, datetime.now(UTC), key=said.key)))


@router.get("/{conversation_id}/messages", response=MessagesOut, summary="What was said, newest first")
def list_messages(
    request: HttpRequest,
    conversation_id: int,
    before: int | None = None,
    after: int | None = None,
    limit: Limit = 50,
) -> MessagesOut:
    """With ``after``: what came after that message, oldest first."""
    by = caller(request, Ability.CHAT).principal
    found = services.messages(by, conversation_id, before=before, after=after, limit=limit)
    following = found[-1].pk if len(found) == limit else None
    return MessagesOut(
        items=[MessageOut.from_orm(row) for row in found],
        next=following,
        under_way=services.under_way(by, conversation_id),
    )


@router.post("/{conversation_id}/forget", response=ForgottenOut, summary="Delete what was said")
def forget(request: HttpRequest, conversation_id: int) -> ForgottenOut:
    """Notes and standing instructions stay. A run under way goes on, and its answer is not kept."""
    by = caller(request, Ability.CHAT).principal
    return ForgottenOut(messages=services.forget(by, conversation_id, datetime.now(UTC)))


@router.post("/{conversation_id}/anew", response={204: None}, summary="Begin anew")
def anew(request: HttpRequest, conversation_id: int) -> Status[None]:
    """What was said can still be read; the agent is told of it no more."""
    by = caller(request, Ability.CHAT).principal
    services.begin_anew(by, conversation_id, datetime.now(UTC))
    return Status(204, None)
