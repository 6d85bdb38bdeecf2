"""MQTT topic filters as sets of topics: what one may look like, and which one covers or meets which.

The rules are those of MQTT 3.1.1, section 4.7: ``+`` is one level, ``#`` is the rest and the level above it,
and a filter that begins with a wildcard matches no topic that begins with ``$``. On top of them come the
limits of the brokers: NATS disconnects a client over a space or a control character (and the client's
QoS 1 resend turns that into an endless loop), Mosquitto over control characters and non-characters.
"""

import re

from appliance.lib.said import say

MAX_TOPIC_BYTES = 1024
MAX_LEVELS = 64

# Space, C0 and C1 controls, surrogates, non-characters.
_UNFIT = re.compile("[\x00-\x20\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")

Fault = tuple[str, str]
"""What is wrong with a text, and a hint."""


def text_fault(text: str, what: str) -> Fault | None:
    """What keeps ``text`` from being a topic or a filter (``what`` says which), or None."""
    if not text:
        return say("an empty %(what)s", what=what), say("name at least one level, as in plant/line1/temp")
    found = _UNFIT.search(text)
    if found:
        said = say(
            "%(what)s %(text)r has the character %(character)r at position %(position)s",
            what=what,
            text=text[:80],
            character=found[0],
            position=found.start() + 1,
        )
        return said, say("no spaces, tabs or control characters")
    if len(text.encode()) > MAX_TOPIC_BYTES:
        size = len(text.encode())
        return say("a %(what)s of %(size)s bytes", what=what, size=size), _at_most(MAX_TOPIC_BYTES)
    if text.count("/") >= MAX_LEVELS:
        levels = text.count("/") + 1
        return say("a %(what)s of %(levels)s levels", what=what, levels=levels), _at_most(MAX_LEVELS)
    return None


def _at_most(number: int) -> str:
    return say("at most %(number)s", number=number)


def filter_fault(filter_: str) -> Fault | None:
    """What keeps ``filter_`` from being a topic filter, or None."""
    fault = text_fault(filter_, say("topic filter"))
    if fault is not None:
        return fault
    levels = filter_.split("/")
    for position, level in enumerate(levels):
        if "#" in level and (level != "#" or position != len(levels) - 1):
            return say("filter %(filter)r: # stands alone, and last", filter=filter_), say("as in plant/#")
        if "+" in level and level != "+":
            return say("filter %(filter)r: + stands for a whole level", filter=filter_), say(
                "as in plant/+/temp"
            )
    return None


def is_exact(filter_: str) -> bool:
    """Whether the filter matches one topic only."""
    return "+" not in filter_ and "#" not in filter_


def canonical(filter_: str) -> str:
    """The one spelling of a filter: ``+/#`` matches what ``#`` matches, because no topic has zero levels."""
    return "#" if filter_ == "+/#" else filter_


def _dollar_apart(f: list[str], g: list[str]) -> bool:
    """Whether one is about ``$`` topics and the other begins with a wildcard."""
    return (f[0][:1] == "$" and g[0] in ("+", "#")) or (g[0][:1] == "$" and f[0] in ("+", "#"))


def covers(wide: str, narrow: str) -> bool:
    """Whether every topic that ``narrow`` matches is matched by ``wide``."""
    f, g = canonical(wide).split("/"), canonical(narrow).split("/")
    if _dollar_apart(f, g):
        return False
    for position, level in enumerate(f):
        if level == "#":
            return True
        if position >= len(g):
            return False
        if g[position] == "#" or (level != "+" and level != g[position]):
            return False
    # `a/#` also matches `a`, so a filter one level shorter than `g` covers it only if it ended in `#` above.
    return len(f) == len(g)


def overlaps(one: str, other: str) -> bool:
    """Whether some topic is matched by both."""
    f, g = one.split("/"), other.split("/")
    if _dollar_apart(f, g):
        return False
    for a, b in zip(f, g, strict=False):
        if a == "#" or b == "#":
            return True
        if a != b and a != "+" and b != "+":
            return False
    longer = f if len(f) > len(g) else g
    shortest = min(len(f), len(g))
    return len(longer) == shortest or longer[shortest:] == ["#"]
