"""A file of alert rules as typed data."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from appliance.bridges.receivers import RECEIVER, RECEIVER_WORDS, Receivers
from appliance.escalations.domain import MOST_STAGES
from appliance.escalations.fields import StageLength
from appliance.lib.duration import format_duration
from appliance.lib.located.fields import Duration, Model, Pause
from appliance.lib.located.patterns import LISTED, Patterns

MOST_RULES = 200
MOST_CASES = 500
MOST_HITS = 1000
RULE_ID = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
PATH = r"^[^.\s]+(?:\.[^.\s]+)*$"

WORDS = {
    RULE_ID: "letters, digits and _ . - without blanks",
    PATH: "names with dots between them, as in arguments.topic",
    RECEIVER: RECEIVER_WORDS,
}
"""What each pattern asks for, in words."""


class Severity(StrEnum):
    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Outcome(StrEnum):
    """How what is on record ended, as its kind and its details say."""

    DONE = "done"
    ASKED = "asked"
    REFUSED = "refused"
    FAILED = "failed"


class Per(StrEnum):
    """What a rate is counted for, each by itself."""

    PRINCIPAL = "principal"
    SUBJECT = "subject"
    KIND = "kind"


FieldPath = Annotated[str, StringConstraints(pattern=PATH, max_length=200)]
RuleId = Annotated[str, StringConstraints(pattern=RULE_ID, max_length=60)]


class RateIs(Model):
    """So many within so long."""

    count: Annotated[int, Field(ge=2, le=MOST_HITS)]
    """How many records make an alert."""
    within: Duration
    """In which time, as 10m."""
    per: Per | None = None
    """Counted for each principal, subject or kind by itself; without it for all together."""

    @property
    def length(self) -> str:
        """``within`` as its author would write it."""
        return format_duration(self.within)


class Escalate(Model):
    """Who is told next when nobody has acknowledged an alert."""

    after: StageLength
    """How long those before them have to acknowledge it, as 10m. Those at the end have as long."""
    to: Receivers
    """role:admin, user:ana, a platform, or platform/conversation; or a list of them."""


class AlertRule(Model):
    """One rule: a record that fits all of its conditions makes an alert, or counts for its rate."""

    id: RuleId
    """Its name, which every alert by it carries."""
    kinds: Patterns | None = None
    """Kinds of records, as approval.* with * and ?."""
    principal: Patterns | None = None
    """Who, as user:ana, chat:telegram/*, trigger:overheat/*."""
    subject: Patterns | None = None
    """What the record is about, as device/pump-*."""
    origin: Patterns | None = None
    """Where it came from: what the record says, else what the principal begins with (user, token, chat, trigger, …)."""
    outcome: Annotated[tuple[Outcome, ...], *LISTED] | None = None
    """One or several of done, asked, refused, failed."""
    fields: Annotated[dict[FieldPath, Patterns], Field(min_length=1)] | None = None
    """Patterns for values of the record's details, by their path."""
    rate: RateIs | None = None
    """Only where so many of them come within so long."""
    severity: Severity = Severity.WARNING
    """info, warning or critical."""
    to: Receivers | None = None
    """Who is told; without it whoever the file names."""
    quiet: Pause | None = None
    """After a message, how long further ones are gathered into one."""
    reason: Annotated[str, StringConstraints(max_length=300)] = ""
    """The sentence that people read."""
    escalate: Annotated[tuple[Escalate, ...], Field(min_length=1, max_length=MOST_STAGES)] | None = None
    """Somebody has to acknowledge it; while nobody does, these are told, one after another."""


class CaseRecord(Model):
    """A record that a case tries."""

    kind: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """The kind of the record."""
    principal: str = "user:somebody"
    subject: str = ""
    detail: dict[str, Any] = {}
    after: Pause = timedelta(0)
    """How long after the one before it."""
    times: Annotated[int, Field(ge=1, le=MOST_HITS)] = 1
    """How often it comes, each ``after`` the one before."""


class Case(Model):
    """Records with the rules that must alert; a file whose cases fail is refused."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    """What the case shows."""
    records: Annotated[tuple[CaseRecord, ...], Field(min_length=1, max_length=100)]
    """In order."""
    expect: tuple[str, ...]
    """The rules that alert, in any order; [] for none."""


class AlertsFile(Model):
    """A whole file."""

    alerts: Literal[1]
    """The version of this format: 1."""
    name: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    """What people call it."""
    to: Receivers = ("role:admin",)
    """Who is told where a rule names nobody."""
    quiet: Pause = timedelta(minutes=5)
    """After a message, how long further ones of the same rule are gathered into one."""
    rules: Annotated[tuple[AlertRule, ...], Field(max_length=MOST_RULES)] = ()
    """Every rule looks at every record."""
    cases: Annotated[tuple[Case, ...], Field(max_length=MOST_CASES)] = ()
    """Tries of this file."""

    def receivers(self, rule: AlertRule) -> tuple[str, ...]:
        return rule.to or self.to

    def pause(self, rule: AlertRule) -> timedelta:
        return self.quiet if rule.quiet is None else rule.quiet
