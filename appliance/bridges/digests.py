"""How storms are told on a platform: the operator's rule, ``"digest": {"after": 5, "within": "1m"}``, and the words."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from django.utils.translation import gettext, ngettext, override
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator

from appliance.lib.located.fields import Duration
from appliance.outbox.ports import Digest, DigestRule

LONGEST = timedelta(hours=1)


class DigestConfig(BaseModel):
    """From the message after the first ``after`` on, in any ``within``, what is about the same is told as one."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    after: Annotated[int, Field(ge=1, le=1000, title="After")] = 5
    """So many messages about the same come by themselves"""
    within: Annotated[Duration, Field(title="In")] = timedelta(minutes=1)
    """in any stretch of this length: `30s`, `1m`; one hour at most."""
    apart: Annotated[bool, Field(title="Never")] = False
    """Each message comes by itself, however many there are."""

    @field_validator("within")
    @classmethod
    def _bounded(cls, value: timedelta) -> timedelta:
        if not timedelta(seconds=1) <= value <= LONGEST:
            raise ValueError("storms are counted over one second at least and one hour at most")
        return value


def _choice(value: Any) -> Any:
    """``"digest": false`` says it shortly."""
    return {"apart": True} if value is False else value


DigestChoice = Annotated[DigestConfig, BeforeValidator(_choice)]


def rule_of(choice: DigestConfig, *, edits: bool) -> DigestRule | None:
    """``edits``: the platform can edit what it was sent."""
    return DigestRule(choice.after, choice.within.total_seconds(), edits) if not choice.apart else None


def in_words(about: str, digest: Digest, text: str, now: datetime, language: str) -> str:
    """What stands for ``digest``; ``text`` is that of its last message."""
    with override(language):
        lines = []
        if digest.count > 1:
            said = gettext("%(count)d messages about %(about)s since %(since)s; the last one:")
            lines.append(
                said % {"count": digest.count, "about": _named(about), "since": _time(digest.since, now)}
            )
        lines.append(text)
        if digest.expired:
            gone = ngettext(
                "%(count)d older one expired before it could be sent.",
                "%(count)d older ones expired before they could be sent.",
                digest.expired,
            )
            lines.append(gone % {"count": digest.expired})
    return "\n".join(filter(None, lines))


def _named(about: str) -> str:
    """``task/overheat/tell`` is said without its first part; a rule of alerts by what it is."""
    kind, _, name = about.partition("/")
    if kind == "alert" and name:
        return gettext("the alert %(rule)s") % {"rule": name}
    return name or about


def _time(at: datetime, now: datetime) -> str:
    at, now = at.astimezone(UTC), now.astimezone(UTC)
    return f"{at:%H:%M:%S} UTC" if at.date() == now.date() else f"{at:%Y-%m-%d %H:%M:%S} UTC"
