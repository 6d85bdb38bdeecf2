"""Topic filters as sets of topics: what a filter may look like, which one covers which, and a small cover.

The rules are those of MQTT 3.1.1, section 4.7: ``+`` is one level, ``#`` is the rest and the level above it,
and a filter that begins with a wildcard matches no topic that begins with ``$``. On top of them come the
limits of the brokers: NATS disconnects a client over a space or a control character (and the client's
QoS 1 resend turns that into an endless loop), Mosquitto over control characters and non-characters.
"""

import re
from collections.abc import Iterable

from appliance.bus.errors import TopicRefused

MAX_TOPIC_BYTES = 1024
MAX_LEVELS = 64

# Space, C0 and C1 controls, surrogates, non-characters.
_UNFIT = re.compile("[\x00-\x20\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_RESERVED = ("$SYS", "$MQTT", "$JS", "$share")


def _check_text(text: str, what: str) -> None:
    if not text:
        raise TopicRefused(f"an empty {what}", hint="name at least one level, as in plant/line1/temp")
    found = _UNFIT.search(text)
    if found:
        raise TopicRefused(
            f"{what} {text[:80]!r} has the character {found[0]!r} at position {found.start() + 1}",
            hint="no spaces, tabs or control characters",
        )
    if len(text.encode()) > MAX_TOPIC_BYTES:
        raise TopicRefused(f"a {what} of {len(text.encode())} bytes", hint=f"at most {MAX_TOPIC_BYTES}")
    if text.count("/") >= MAX_LEVELS:
        raise TopicRefused(f"a {what} of {text.count('/') + 1} levels", hint=f"at most {MAX_LEVELS}")


def check_topic(topic: str) -> str:
    """Give ``topic`` back if a message may be published to it, else raise TopicRefused."""
    _check_text(topic, "topic")
    if "+" in topic or "#" in topic:
        raise TopicRefused(f"topic {topic!r} has a wildcard", hint="publish to one topic, without + and #")
    if topic.startswith("$") and topic.partition("/")[0] in _RESERVED:
        raise TopicRefused(f"topic {topic!r} belongs to the broker", hint="publish under a name of your own")
    return topic


def check_filter(filter_: str) -> str:
    """Give ``filter_`` back if it may be subscribed to, else raise TopicRefused."""
    _check_text(filter_, "topic filter")
    levels = filter_.split("/")
    if levels[0] == "$share":
        # NATS grants it and then delivers nothing.
        raise TopicRefused("shared subscriptions are not supported", hint="subscribe to the plain filter")
    for position, level in enumerate(levels):
        if "#" in level and (level != "#" or position != len(levels) - 1):
            raise TopicRefused(f"filter {filter_!r}: # stands alone, and last", hint="as in plant/#")
        if "+" in level and level != "+":
            raise TopicRefused(f"filter {filter_!r}: + stands for a whole level", hint="as in plant/+/temp")
    return filter_


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


def common_cover(one: str, other: str) -> str | None:
    """The narrowest single filter over both, or None: no filter spans ``$`` topics and others."""
    f, g = one.split("/"), other.split("/")
    if f[0] != g[0] and (f[0][:1] == "$" or g[0][:1] == "$"):
        return None
    cover: list[str] = []
    for a, b in zip(f, g, strict=False):
        if a == "#" or b == "#":
            return canonical("/".join([*cover, "#"]))
        cover.append(a if a == b else "+")
    if len(f) != len(g):
        cover.append("#")
    return canonical("/".join(cover))


def _disjoint(filters: Iterable[str]) -> set[str]:
    """Merge until no two overlap. Quadratic in the number of filters with a wildcard."""
    exact = {f for f in filters if is_exact(f)}
    waiting = [f for f in filters if not is_exact(f)]
    wild: list[str] = []
    while waiting:
        current = waiting.pop()
        hits = [f for f in wild if overlaps(f, current)]
        widened = current
        for hit in hits:
            widened = common_cover(widened, hit) or widened
        if hits:
            wild = [f for f in wild if f not in hits]
            waiting.append(widened)  # once more: the wider one may overlap others
        else:
            wild.append(current)
    return {e for e in exact if not any(covers(w, e) for w in wild)} | set(wild)


def _coarser(filters: set[str], limit: int) -> set[str]:
    """Merge neighbours, those with the longest common beginning first, until ``limit`` are left."""
    depth = max(f.count("/") for f in filters)
    while len(filters) > limit and depth >= 0:
        groups: dict[tuple[str, ...], list[str]] = {}
        for f in sorted(filters):
            first, *rest = f.split("/")
            # `$` roots are never merged with anything else, so they stay their own group at depth 0.
            key = (first, *rest)[:depth] if depth else ((first,) if first[:1] == "$" else ())
            groups.setdefault(key, []).append(f)
        for members in sorted((m for m in groups.values() if len(m) > 1), key=len, reverse=True):
            if len(filters) <= limit:
                break
            merged = members[0]
            for member in members[1:]:
                merged = common_cover(merged, member) or merged
            filters = (filters - set(members)) | {merged}
        depth -= 1
    return filters


def minimal_cover(filters: Iterable[str], limit: int = 30) -> frozenset[str]:
    """Few, disjoint filters that together match at least what ``filters`` match.

    Disjoint, because NATS delivers a message once per overlapping filter. At most ``limit`` (beside one per
    ``$`` root), because NATS grants 63 QoS 1 subscriptions a session and counts one that ends in ``#`` twice.
    Up to that limit nothing is widened but what overlaps.
    """
    wanted = {canonical(check_filter(f)) for f in filters}
    if not wanted:
        return frozenset()
    # The pairwise step is quadratic: thin out a huge set before it.
    wild = {f for f in wanted if not is_exact(f)}
    if len(wild) > 8 * limit:
        wanted = (wanted - wild) | _coarser(wild, 8 * limit)
    cover = _disjoint(wanted)
    while len(cover) > limit:
        coarser = _disjoint(_coarser(cover, limit))
        if coarser == cover:
            break
        cover = coarser
    return frozenset(cover)
