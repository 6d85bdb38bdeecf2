"""Where a topic stands: on the box's own broker, or on one that is connected beside it.

In the box such a place is one text: ``line1/temp`` on the own broker, ``plant#line1/temp`` on the broker ``plant``.
No topic has a ``#`` in it (MQTT 3.1.1, 4.7.1), so the two can never be taken for each other.
"""

import re

from appliance.bus.errors import BrokerRefused

OWN = ""
"""The box's own broker, as `Message.broker` and all keys name it."""

NAME = r"^[a-z0-9][a-z0-9_-]{0,23}$"
RESERVED_NAMES = frozenset({"box", "own", "default"})
MAX_NAME = 24
_MARK = "#"


def check_broker_name(name: str) -> str:
    """Give ``name`` back if a broker may have it. Raises BrokerRefused."""
    if not re.fullmatch(NAME.rstrip("$"), name):
        raise BrokerRefused(
            f"{name[:60]!r} cannot be a broker's name",
            hint=f"small letters, digits, - and _, beginning with a letter or digit, at most {MAX_NAME}",
        )
    if name in RESERVED_NAMES:
        raise BrokerRefused(f"the name {name!r} is reserved", hint="the box's own broker has no name")
    return name


def place_of(broker: str, topic: str) -> str:
    """The one text for a topic on a broker."""
    return f"{broker}{_MARK}{topic}" if broker else topic


def split_place(place: str) -> tuple[str, str]:
    """(broker, topic) of such a text."""
    broker, mark, topic = place.partition(_MARK)
    return (broker, topic) if mark else (OWN, place)
