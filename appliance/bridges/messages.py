"""What is said between people and the box, of no platform in particular."""

from dataclasses import dataclass
from uuid import UUID

from appliance.lib.jsontypes import JsonObject


@dataclass(frozen=True, slots=True)
class Button:
    """``data`` is at most 64 bytes. To a platform it is an opaque word; what it means stays in the box."""

    label: str
    data: str


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes with a message. ``media_type`` as in HTTP: ``image/png``, ``text/plain; charset=utf-8``."""

    name: str
    media_type: str
    content: bytes
    id: UUID | None = None
    """Under which it is kept in the box, where it is."""

    @property
    def is_picture(self) -> bool:
        return self.media_type in ("image/png", "image/jpeg", "image/gif", "image/webp")


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """A message to people. ``text`` and ``title`` are plain: no character in them has a meaning.

    ``id`` and ``key`` name it for ever. ``parts_done`` parts of it arrived at an earlier attempt. ``replaces`` are the
    platform's identifiers of an earlier message whose place it takes, where the platform can edit.
    """

    id: UUID
    key: str
    conversation: str
    text: str
    title: str = ""
    buttons: tuple[Button, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    replaces: tuple[str, ...] = ()
    run_id: UUID | None = None
    parts_done: int = 0
    repeat_possible: bool = False


@dataclass(frozen=True, slots=True)
class InboundMessage:
    """What a person wrote or pressed. ``user_id`` is the platform's stable id, never a display name.

    ``pressed``: ``text`` is the data of a button, which nobody can type.
    """

    conversation: str
    user_id: str
    text: str
    user_name: str = ""
    private: bool = True
    account_id: int | None = None
    """The person of this box, where the platform itself knows: the web admin's chat."""
    pressed: bool = False
    token_id: int | None = None
    """The API token that a program said it with, beside ``account_id``: it may do no more than that."""
    forwarded: bool = False
    """Whether it is somebody else's message that was passed on, as far as the platform says."""


@dataclass(frozen=True, slots=True)
class RawEvent:
    """An event as the platform gave it, on its way into the durable inbox."""

    event_id: str
    payload: JsonObject
