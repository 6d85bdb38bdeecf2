"""What a program says to the box."""

from pydantic import BaseModel, Field, ValidationError

from appliance.bridges.messages import InboundMessage
from appliance.lib.jsontypes import JsonObject


class Person(BaseModel):
    id: str = Field(min_length=1, max_length=200)
    name: str = ""


class Event(BaseModel):
    """``pressed`` has the data of a button instead of a ``text``."""

    conversation: str = Field(min_length=1, max_length=200)
    user: Person
    text: str = ""
    pressed: str = ""
    private: bool = True


def read_event(payload: JsonObject) -> InboundMessage | None:
    """None for what is not an event, or says nothing."""
    try:
        event = Event.model_validate(payload)
    except ValidationError:
        return None
    text = event.pressed or event.text
    if not text:
        return None
    return InboundMessage(
        conversation=event.conversation,
        user_id=event.user.id,
        user_name=event.user.name,
        text=text,
        private=event.private,
        pressed=bool(event.pressed),
    )
