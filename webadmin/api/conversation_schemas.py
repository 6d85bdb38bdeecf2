"""What the API says about conversations with the agent and what it remembers."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from ninja import Schema
from pydantic import Field

from appliance.agent.conversations.domain import LONGEST_NOTE, NoteScope

Text = Annotated[str, Field(min_length=1, max_length=4000)]
NoteText = Annotated[str, Field(min_length=1, max_length=LONGEST_NOTE)]


class ConversationOut(Schema):
    """``kind``: `person`, the one that follows you through all private chats, or `room`."""

    id: int
    kind: str
    person: str
    platform: str
    room: str
    created_at: datetime
    last_at: datetime


class ConversationsOut(Schema):
    items: list[ConversationOut]
    next: int | None


class MessageOut(Schema):
    """``speaker``: `person`, `agent`, or `box` for what the box itself answered. ``run_id``: the run that the message
    has started, or that has answered."""

    id: int
    speaker: str
    author: str
    text: str
    platform: str
    run_id: UUID | None
    at: datetime


class MessagesOut(Schema):
    """``under_way``: the run that works on an answer now."""

    items: list[MessageOut]
    next: int | None
    under_way: UUID | None


class SayIn(Schema):
    """``key``: of a program. The same again within two days says nothing new."""

    text: Text
    key: Annotated[str, Field(max_length=100)] = ""


class SaidOut(Schema):
    """The message lies in the box's inbox under ``id``; the answer comes as a message of the conversation."""

    id: str


class ForgottenOut(Schema):
    messages: int


class NoteOut(Schema):
    """``state``: `proposed`, `accepted`, `rejected`, `standing` (an instruction of a person), `ended`."""

    id: int
    scope: str
    person: str
    conversation_id: int | None
    text: str
    state: str
    proposed_by: str
    run_id: UUID | None
    reviewed_by: str
    reviewed_at: datetime | None
    created_at: datetime


class NotesOut(Schema):
    items: list[NoteOut]
    next: int | None


class StandingIn(Schema):
    """``conversation_id``: of a room, with the scope `room`."""

    text: NoteText
    scope: NoteScope = NoteScope.PERSON
    conversation_id: int | None = None
