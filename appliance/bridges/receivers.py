"""Who is told, as people write it in files: ``role:admin``, ``user:ana``, a platform, or one conversation of it."""

from collections.abc import Sequence
from typing import Annotated, Any

from psycopg import AsyncConnection
from pydantic import AfterValidator, StringConstraints

from appliance.accounts.domain import Role
from appliance.bridges.audience import Chat, chats_of_async
from appliance.lib.located.fields import refuse
from appliance.lib.located.issues import suggestion
from appliance.lib.located.patterns import LISTED

RECEIVER = r"^[A-Za-z0-9_.:@/+-]+$"
RECEIVER_WORDS = "role:admin, user:ana, a platform, or platform/conversation"


def _receiver(text: str) -> str:
    begin, colon, name = text.partition(":")
    if not colon or "/" in begin:
        return text
    if begin == "role" and name not in set(Role):
        raise refuse(f"there is no role `{name}`", suggestion(name, list(Role)) or ", ".join(Role))
    if begin not in ("role", "user"):
        raise refuse(f"`{text}` names nobody", RECEIVER_WORDS)
    return text


Receiver = Annotated[str, StringConstraints(pattern=RECEIVER, max_length=250), AfterValidator(_receiver)]
Receivers = Annotated[tuple[Receiver, ...], *LISTED]


def platform_in(receiver: str) -> str:
    """The platform that a receiver names; empty for roles and people."""
    name = receiver.partition("/")[0]
    return "" if ":" in name else name


async def chats_reached(connection: AsyncConnection[Any], receivers: Sequence[str]) -> list[Chat]:
    """Every chat of them, once. The web admin's own is always one: what no other chat can take is read there."""
    roles = [Role(one.removeprefix("role:")) for one in receivers if one.startswith("role:")]
    names = [one.removeprefix("user:") for one in receivers if one.startswith("user:")]
    covering = [role.value for role in Role if any(role.covers(needed) for needed in roles)]
    found = {chat[:2]: chat[2] for chat in await chats_of_async(connection, covering)}
    if names:
        everybody = [role.value for role in Role]
        found |= {chat[:2]: chat[2] for chat in await chats_of_async(connection, everybody, names=names)}
    for one in receivers:
        platform, _, conversation = one.partition("/")
        if platform_in(one):
            found.setdefault((platform, conversation), "en")
    return [(platform, conversation, language) for (platform, conversation), language in found.items()]
