"""By which origins a run is judged: its own, those of the runs that led to it, and what they count as besides."""

from collections.abc import Iterable

from appliance.safety.policy.vocabulary import Origin

_BESIDES = {
    Origin.API.value: (Origin.MANUAL.value,),
    Origin.MCP.value: (Origin.API.value, Origin.MANUAL.value),
}
"""What is started by a token is started on somebody's behalf: a rule about ``manual`` is about it too."""


def judged(origins: Iterable[str]) -> tuple[str, ...]:
    """Each of them once, in their order, and what they count as besides: the strictest of their answers counts."""
    found = (one for origin in origins for one in (origin, *_BESIDES.get(origin, ())))
    return tuple(dict.fromkeys(found))


def counts_alone(origin: str) -> bool:
    """Whether it counts as nothing besides."""
    return origin not in _BESIDES


def started_by(principal: str) -> tuple[str, tuple[str, ...]]:
    """What a run is that this principal starts by its own word, and what else it is judged by.

    A command by MQTT comes from an account of the broker; it is somebody's word as well.
    """
    kind = principal.partition(":")[0]
    if kind == "token":
        return Origin.API.value, ()
    if kind == "mqtt":
        return Origin.MQTT.value, (Origin.MANUAL.value,)
    return Origin.MANUAL.value, ()


def word_of(principal: str) -> tuple[str, ...]:
    """All origins of what this principal says, its way first."""
    own, besides = started_by(principal)
    return (own, *besides)
