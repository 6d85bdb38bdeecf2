"""Quiet hours of a platform: what is not urgent waits until they end. Pure: time comes in as a parameter."""

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from appliance.lib.located.fields import Zone
from appliance.lib.priority import Priority
from appliance.outbox.ports import Hold
from appliance.safety.policy.vocabulary import Day

MIDNIGHT = "24:00"
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_SECOND = timedelta(seconds=1)


def _clock(value: str) -> str:
    if not _CLOCK.fullmatch(value):
        raise ValueError("expected a time such as 22:00")
    return value


def _end(value: str) -> str:
    return value if value == MIDNIGHT else _clock(value)


class QuietHours(BaseModel):
    """When the box keeps quiet there: ``{"from": "22:00", "to": "06:00", "timezone": "Europe/Paris"}``."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        populate_by_name=True,
        serialize_by_alias=True,
        use_attribute_docstrings=True,
    )

    from_: Annotated[str, AfterValidator(_clock), Field(alias="from", title="From")]
    """When they begin, by the clock of that time zone: `22:00`."""
    to: Annotated[str, AfterValidator(_end), Field(title="To")]
    """When they end: `06:00`. One before the beginning is of the next day; `24:00` is the end of the day."""
    timezone: Annotated[Zone, Field(title="Time zone")] = "UTC"
    """Whose clock this is: `Europe/Paris`."""
    days: Annotated[tuple[Day, ...], Field(title="Days")] = tuple(Day)
    """The days on which they begin: `["mon", "tue"]`. Without any, every day."""
    below: Annotated[Priority, Field(title="Below")] = Priority.HIGH
    """What is less urgent than this waits: `normal`, `high` or `critical`. What is critical always passes."""

    @field_validator("days")
    @classmethod
    def _some(cls, days: tuple[Day, ...]) -> tuple[Day, ...]:
        if not days:
            raise ValueError("expected at least one day, or leave it out for every day")
        return tuple(sorted(set(days), key=list(Day).index))

    @field_validator("below")
    @classmethod
    def _something(cls, below: Priority) -> Priority:
        if below is Priority.LOW:
            raise ValueError("nothing is less urgent than low: expected normal, high or critical")
        return below

    @model_validator(mode="after")
    def _ending(self) -> "QuietHours":
        if self.from_ == self.to:
            raise ValueError("they begin and end at the same time; a whole day is from 00:00 to 24:00")
        if (self.from_, self.to) == ("00:00", MIDNIGHT) and len(self.days) == len(Day):
            raise ValueError("they would never end; to send nothing at all, switch the platform off")
        return self

    def until(self, now: datetime) -> datetime | None:
        """When the quiet hours end in which ``now`` lies, in UTC; None where it lies in none.

        Where the clock is put forward over a beginning or an end, it is the moment of that; where it is put back
        over one, they begin at the first of the two times and end at the second.
        """
        at, today = now, now.astimezone(ZoneInfo(self.timezone)).date()
        for distance in range(-1, len(Day) + 2):
            day = today + timedelta(days=distance)
            if list(Day)[day.weekday()] not in self.days:
                continue
            begin, end = self._hours_of(day)
            if begin <= at < end:
                at = end  # and the next day's may begin just then
        return at if at > now else None

    def hold(self, now: datetime, priority: int) -> Hold | None:
        """For a message of this rank; None where it may be told now."""
        until = self.until(now) if priority < self.below.rank else None
        if until is None:
            return None
        local = until.astimezone(ZoneInfo(self.timezone))
        said = f"{local:%H:%M}" if until - now < timedelta(days=1) else f"{local:%Y-%m-%d %H:%M}"
        return Hold(until, f"quiet hours until {said} ({self.timezone})", self.below.rank)

    def _hours_of(self, day: date) -> tuple[datetime, datetime]:
        zone = ZoneInfo(self.timezone)
        to = "00:00" if self.to == MIDNIGHT else self.to
        last = day + timedelta(days=1) if to <= self.from_ else day
        return _instant(day, self.from_, zone, fold=0), _instant(last, to, zone, fold=1)


def _instant(day: date, clock: str, zone: ZoneInfo, *, fold: int) -> datetime:
    """When the clock shows this on that day: of two times the one that ``fold`` names; in a gap, its end."""
    wall = datetime.combine(day, time.fromisoformat(clock))
    instant = wall.replace(tzinfo=zone, fold=fold).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    # In a gap the first reading lies behind its end, the second before its beginning.
    late, early = (wall.replace(tzinfo=zone, fold=n).astimezone(UTC) for n in (0, 1))
    before = early.astimezone(zone).utcoffset()
    while late - early > _SECOND:
        middle = early + (late - early) // 2
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late.replace(microsecond=0)
