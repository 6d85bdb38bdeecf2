"""Slack's events and presses, as far as this bridge understands them; they look the same by socket and by webhook.

docs.slack.dev/reference/events (``message.im``, ``app_mention``), …/interaction-payloads (``block_actions``).
"""

from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError

from appliance.bridges.messages import InboundMessage, RawEvent
from appliance.bridges.slack.blocks import ACTION
from appliance.bridges.slack.words import readable
from appliance.lib.jsontypes import JsonObject

SLACKBOT = "USLACKBOT"


class Said(BaseModel):
    type: str
    channel: str = Field(min_length=1)
    user: str = Field(min_length=1)
    text: str = ""
    ts: str = ""
    thread_ts: str = ""
    channel_type: str = ""
    subtype: str | None = None
    bot_id: str | None = None
    edited: Any = None

    @property
    def is_for_the_box(self) -> bool:
        """A person in a private chat, or one who mentions the app. An edited text is not said again."""
        if self.subtype or self.bot_id or self.edited or self.user == SLACKBOT:
            return False
        return self.type == "app_mention" or (self.type == "message" and self.channel_type == "im")


class Callback(BaseModel):
    type: Literal["event_callback"]
    event_id: str = Field(min_length=1)
    team_id: str = ""
    event: Said

    @property
    def name(self) -> str:
        return self.event_id

    def said(self) -> list[InboundMessage]:
        event, text = self.event, readable(self.event.text)
        if not event.is_for_the_box or not text:
            return []
        where = _place(event.channel, event.ts, event.thread_ts)
        return [InboundMessage(where, event.user, text, private=_is_private(event.channel))]


class Person(BaseModel):
    id: str = Field(min_length=1)
    name: str = ""


class Container(BaseModel):
    channel_id: str = Field(min_length=1)
    message_ts: str = Field(min_length=1)
    thread_ts: str | None = None


class Action(BaseModel):
    type: str = ""
    action_id: str = ""
    action_ts: str = ""
    value: str = ""


class Named(BaseModel):
    id: str = ""


class Pressed(BaseModel):
    type: Literal["block_actions"]
    user: Person
    container: Container
    actions: list[Action] = Field(min_length=1)
    team: Named | None = None

    @property
    def team_id(self) -> str:
        return self.team.id if self.team else ""

    @property
    def name(self) -> str:
        """Slack gives a press no identifier; when, where and by whom is one."""
        place = f"{self.container.channel_id}/{self.container.message_ts}"
        return f"press/{place}/{self.actions[0].action_ts}/{self.user.id}"

    def said(self) -> list[InboundMessage]:
        box = self.container
        where = _place(box.channel_id, box.message_ts, box.thread_ts or "")
        return [
            InboundMessage(
                where,
                self.user.id,
                action.value,
                user_name=self.user.name,
                private=_is_private(box.channel_id),
                pressed=True,
            )
            for action in self.actions
            if action.type == "button" and action.action_id.startswith(ACTION) and action.value
        ]


def read(payload: JsonObject) -> Callback | Pressed | None:
    """None for what is neither, or cannot be understood."""
    kinds: dict[object, type[Callback] | type[Pressed]] = {
        "event_callback": Callback,
        "block_actions": Pressed,
    }
    kind = payload.get("type")
    model = kinds.get(kind) if isinstance(kind, str) else None
    try:
        return model.model_validate(payload) if model else None
    except ValidationError:
        return None


def is_elsewhere(payload: JsonObject, team: str | None) -> bool:
    """Whether it comes from another workspace than the configured one."""
    found = read(payload)
    return bool(team and found and found.team_id != team)


def raw_event(payload: JsonObject, team: str | None) -> RawEvent | None:
    """On its way into the inbox. None for what nobody says to the box: it is not kept."""
    found = read(payload)
    if found is None or not found.said() or is_elsewhere(payload, team):
        return None
    return RawEvent(found.name, payload)


def _place(channel: str, stamp: str, thread: str) -> str:
    # The first message of a thread has itself as its thread; an answer to it belongs into the channel.
    return f"{channel}/{thread}" if thread and thread != stamp else channel


def _is_private(channel: str) -> bool:
    return channel.startswith("D")
