"""What a chart shows. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from appliance.devices.readings.domain import Series
from appliance.lib.duration import format_duration
from appliance.lib.jsontypes import JsonObject, JsonValue

MOST_LINES = 4
NO_READINGS = "no readings yet"


@dataclass(frozen=True, slots=True)
class ChartSpec:
    """What is to be shown: some topics (places) on one path, over a window of time that is fixed, and a limit."""

    topics: tuple[str, ...]
    path: str
    since: datetime
    until: datetime
    limit: float | None = None

    @property
    def length(self) -> timedelta:
        return self.until - self.since

    def to_json(self) -> JsonObject:
        return {
            "topics": list[JsonValue](self.topics),
            "path": self.path,
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "limit": self.limit,
        }

    @classmethod
    def from_json(cls, given: JsonObject) -> "ChartSpec":
        """Raises KeyError, TypeError or ValueError for what `to_json` did not write."""
        topics, limit = given["topics"], given.get("limit")
        if not isinstance(topics, list):
            raise TypeError("topics is a list")
        return cls(
            topics=tuple(map(str, topics[:MOST_LINES])),
            path=str(given.get("path") or ""),
            since=datetime.fromisoformat(str(given["since"])),
            until=datetime.fromisoformat(str(given["until"])),
            limit=float(limit) if isinstance(limit, int | float) else None,
        )


def in_words(spec: ChartSpec, lines: tuple[Series, ...]) -> str:
    """What the picture would show, for a platform that takes none: a line of text for each topic."""
    length = format_duration(spec.length)
    return "\n".join(_one(name, line, length) for name, line in zip(short_names(spec), lines, strict=True))


def _one(name: str, line: Series, length: str) -> str:
    if line.last is None:
        return f"{name}: {NO_READINGS}"
    low, high = shown(line.low), shown(line.high)
    return f"{name}: last {shown(line.last)}, min {low}, max {high} in {length}"


def short_names(spec: ChartSpec) -> list[str]:
    """The ends of the topics, each as long as it takes to tell them apart, with the path where one is named."""
    levels = [topic.split("/") for topic in spec.topics]
    deepest = max(map(len, levels), default=1)
    names = list(spec.topics)
    for count in range(1, deepest + 1):
        names = ["/".join(one[-count:]) for one in levels]
        if len(set(names)) == len(set(spec.topics)):
            break
    return [f"{name} {spec.path}".strip() for name in names]


def shown(number: float) -> str:
    """A number as people read it: four significant digits, never with an exponent between 0.0001 and ten million."""
    size = abs(number)
    if size >= 1e7 or 0 < size < 1e-4:
        return f"{number:.3g}"
    digits = 0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 1 else 4
    text = f"{number:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text
