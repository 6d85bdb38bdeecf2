"""Whose a topic is, and when a device counts as away. Pure: no Django, no I/O."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from appliance.bus.filters import covers
from appliance.lib.duration import format_duration

SILENCE = timedelta(minutes=5)
SHORTEST_SILENCE, LONGEST_SILENCE = timedelta(seconds=5), timedelta(days=30)

_MOST_TOPICS = 20_000


class PresenceState(StrEnum):
    UNKNOWN = "unknown"
    """It has never been heard of."""
    ONLINE = "online"
    OFFLINE = "offline"


def silent_reason(silence: timedelta) -> str:
    return f"silent for more than {format_duration(silence)}"


@dataclass(slots=True)
class Owners:
    """Which device a message comes from. MQTT does not say, so the topic has to: what only one account may publish
    to is that one's. ``devices/<name>/…`` always is; a topic that several may use is nobody's."""

    patterns: Mapping[str, Iterable[str]]
    """By device, what it may publish to."""
    _known: dict[str, str | None] = field(default_factory=dict)

    def of(self, topic: str) -> str | None:
        try:
            return self._known[topic]
        except KeyError:
            if len(self._known) >= _MOST_TOPICS:
                self._known.clear()
            return self._known.setdefault(topic, self._find(topic))

    def _find(self, topic: str) -> str | None:
        root, _, rest = topic.partition("/")
        name = rest.partition("/")[0]
        if root == "devices" and name in self.patterns:
            return name
        may = [
            name for name, patterns in self.patterns.items() if any(covers(one, topic) for one in patterns)
        ]
        return may[0] if len(may) == 1 else None
