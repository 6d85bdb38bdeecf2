"""The box's own chats: the notification feed, and a conversation of each person with the box."""

from collections.abc import Sequence
from datetime import datetime

from django.db import connection as django_connection
from django.db import transaction

from appliance.bridges.domain import FEED, InboundState, own_conversation
from appliance.bridges.identities import Person
from appliance.bridges.inbox import receive_now
from appliance.bridges.messages import RawEvent
from appliance.bridges.models import ChatFile, ChatRecord, Inbound, PressableButton
from appliance.events import FeedMessage
from appliance.events.services import record
from appliance.lib.errors import MillwrightError
from appliance.lib.plain import plain_text
from appliance.lib.said import say

WEBCHAT = "webchat"
LONGEST = 4000


class MessageRefused(MillwrightError):
    """An empty message, or one that is too long."""

    code = "chat.message_refused"


class FileNotThere(MillwrightError):
    """A file that this message does not have, or that has gone with its time."""

    code = "chat.file_not_found"


def post_message(person: Person, text: str, now: datetime) -> ChatRecord:
    """What a logged-in person wrote to the box: kept, shown, and put into the durable inbox in one commit.

    Raises MessageRefused.
    """
    text = plain_text(text).strip()
    if not text or len(text) > LONGEST:
        raise MessageRefused(say("a message has between 1 and %(most)s characters", most=LONGEST))
    with transaction.atomic():
        message = ChatRecord.objects.create(
            platform=WEBCHAT,
            conversation=own_conversation(person.username),
            inbound=True,
            author=person.username,
            text=text,
            created_at=now,
        )
        receive_now(
            WEBCHAT,
            [
                RawEvent(
                    f"message-{message.pk}",
                    {
                        "conversation": message.conversation,
                        "user_id": str(person.pk),
                        "user_name": person.username,
                        "text": text,
                    },
                )
            ],
            now,
        )
        with django_connection.cursor() as cursor:
            record(
                cursor,
                FeedMessage(
                    message_id=str(message.pk),
                    conversation=message.conversation,
                    text=text,
                    author=person.username,
                    inbound=True,
                ),
            )
    return message


def messages(person: Person, *, before: int | None = None, limit: int = 50) -> list[ChatRecord]:
    """The feed and this person's own conversation together, newest first, one page."""
    return _page((FEED, own_conversation(person.username)), before, limit)


def feed(*, before: int | None = None, limit: int = 50) -> list[ChatRecord]:
    """The notification feed, newest first, one page; ``before`` is the last ``pk`` of the page above."""
    return _page((FEED,), before, limit)


def conversation(person: Person, *, before: int | None = None, limit: int = 50) -> list[ChatRecord]:
    """This person's conversation with the box, newest first, one page."""
    return _page((own_conversation(person.username),), before, limit)


def _page(conversations: Sequence[str], before: int | None, limit: int) -> list[ChatRecord]:
    rows = ChatRecord.objects.filter(platform=WEBCHAT, conversation__in=conversations).order_by("-id")
    return list((rows.filter(pk__lt=before) if before else rows)[:limit])


def forget(username: str) -> int:
    """Delete this person's conversation with the box as the web admin shows it; gives how many messages went."""
    rows = ChatRecord.objects.filter(platform=WEBCHAT, conversation=own_conversation(username))
    count, _ = rows.delete()
    return count


def file_of(person: Person, message: int, number: int) -> ChatFile:
    """The file of a message that this person may read, by its place under it. Raises FileNotThere."""
    readable = (FEED, own_conversation(person.username))
    row = ChatRecord.objects.filter(pk=message, platform=WEBCHAT, conversation__in=readable).first()
    named = row.files[number] if row is not None and number < len(row.files) else None
    found = ChatFile.objects.filter(pk=named["id"]).first() if named else None
    if found is None:
        raise FileNotThere("there is no such file, or not any more")
    return found


def prune(before: datetime) -> int:
    """Delete what of chats is older than ``before`` and settled; gives how many rows went."""
    handled, _ = Inbound.objects.exclude(state=InboundState.RECEIVED).filter(received_at__lt=before).delete()
    said, _ = ChatRecord.objects.filter(created_at__lt=before).delete()
    pressed, _ = PressableButton.objects.filter(expires_at__lt=before).delete()
    files, _ = ChatFile.objects.filter(created_at__lt=before).delete()
    return handled + said + pressed + files
