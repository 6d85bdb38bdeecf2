"""Which topics and filters our brokers can carry, and a small cover of many filters."""

from collections.abc import Iterable

from appliance.bus.errors import TopicRefused
from appliance.lib.said import say
from appliance.lib.topic_filters import (
    MAX_LEVELS,
    MAX_TOPIC_BYTES,
    Fault,
    canonical,
    covers,
    filter_fault,
    is_exact,
    overlaps,
    text_fault,
)

__all__ = [
    "MAX_LEVELS",
    "MAX_TOPIC_BYTES",
    "check_filter",
    "check_not_own",
    "check_topic",
    "common_cover",
    "covers",
    "is_exact",
    "minimal_cover",
    "overlaps",
]

_RESERVED = ("$SYS", "$MQTT", "$JS", "$share")


_TOPIC = say("topic")


def _refuse(fault: Fault | None) -> None:
    if fault is not None:
        raise TopicRefused(fault[0], hint=fault[1])


def check_topic(topic: str) -> str:
    """Give ``topic`` back if a message may be published to it, else raise TopicRefused."""
    _refuse(text_fault(topic, _TOPIC))
    if "+" in topic or "#" in topic:
        raise TopicRefused(
            say("topic %(topic)r has a wildcard", topic=topic),
            hint=say("publish to one topic, without + and #"),
        )
    if topic.startswith("$") and topic.partition("/")[0] in _RESERVED:
        raise TopicRefused(
            say("topic %(topic)r belongs to the broker", topic=topic),
            hint=say("publish under a name of your own"),
        )
    return topic


def check_not_own(topic: str, box: str) -> str:
    """Give ``topic`` back unless it is one of the box's own on its own broker, else raise TopicRefused.

    What comes there is believed by where it comes, and only the box's account may publish everywhere: who could have
    it publish there could order in the name of every account, and stop everything.
    """
    if topic.split("/")[:2] == ["millwright", box]:
        raise TopicRefused(
            say("topic %(topic)r is one of the box's own, where orders to it come in", topic=topic),
            hint=say(
                "publish under a name of your own; to start a task use the action `task`, or an account with commands"
            ),
        )
    return topic


def check_filter(filter_: str) -> str:
    """Give ``filter_`` back if it may be subscribed to, else raise TopicRefused."""
    _refuse(text_fault(filter_, say("topic filter")))
    if filter_.startswith("$share/") or filter_ == "$share":
        # NATS grants it and then delivers nothing.
        raise TopicRefused(
            say("shared subscriptions are not supported"), hint=say("subscribe to the plain filter")
        )
    _refuse(filter_fault(filter_))
    return filter_


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
