"""What of the journal somebody may read: everything but other people's conversations with the box."""

from collections.abc import Iterable

from appliance.bridges.domain import FEED, own_conversation
from appliance.events import OF_CONVERSATIONS, FeedMessage
from appliance.events.journal import Entry


def visible_to(username: str, entries: Iterable[Entry]) -> list[Entry]:
    """The entries that may be sent to this person, in order."""
    own = {FEED, own_conversation(username)}
    return [entry for entry in entries if _is_theirs(entry, username, own)]


def _is_theirs(entry: Entry, username: str, own: set[str]) -> bool:
    if entry.type in OF_CONVERSATIONS:
        people = entry.data.get("people")
        return isinstance(people, list) and username in people
    return entry.type != FeedMessage.type or entry.data.get("conversation") in own
