"""The rules of approvals: who may decide, until when, and what makes one void. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from appliance.accounts.domain import Ability, Role, allowed
from appliance.accounts.principal import BOX, CONSOLE, UNKNOWN, Principal, hand_of, person_of
from appliance.lib.digest import sha256_hex
from appliance.lib.duration import format_duration
from appliance.lib.jsontypes import JsonMapping, JsonObject

PATIENCE = timedelta(minutes=30)
"""How long an approval stays open where nobody says otherwise."""

GRACE = timedelta(minutes=5)
"""How long after the decision one counts at least, where it was given in the last moment."""

TOO_LATE = "the approval came too long ago"
_NOBODY = "nobody decided within "
_TWICE_VOID = "the approval is void, for the second time: "
VOID = "what was asked is void"

ASKED_AT_MOST = 2
"""How often the same step asks when what was asked about changes: once, and once anew."""


class State(StrEnum):
    OPEN = "open"
    APPROVED = "approved"
    DENIED = "denied"
    EXPIRED = "expired"
    VOID = "void"
    """What was asked about is not what would be done now."""
    USED = "used"


class Choice(StrEnum):
    APPROVE = "approve"
    DENY = "deny"


class Way(StrEnum):
    """Through what somebody decided."""

    WEB = "web"
    CHAT = "chat"
    API = "api"
    CLI = "cli"
    CODE = "code"


class Purpose(StrEnum):
    GATE = "gate"
    """The gate asks before it lets one effect pass."""
    QUESTION = "question"
    """A step of the kind ``approval``."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Who is asked and for how long. ``names`` narrows the role to these people; ``needed`` is M of N."""

    approvers: Role = Role.ENGINEER
    names: tuple[str, ...] = ()
    needed: int = 1
    expires: timedelta = PATIENCE
    self_approval: bool = False
    """Whether who asked may decide, too."""

    @property
    def roles(self) -> list[str]:
        """The roles that cover ``approvers``."""
        return [role.value for role in Role if role.covers(self.approvers)]


@dataclass(frozen=True, slots=True)
class Subject:
    """What an approval is bound to: the exact action, the policy, and the states that it names.

    ``states`` has the ``value``, ``quality`` and time (``at``) of each topic.
    """

    kind: str
    effect: str
    arguments: JsonMapping
    version_id: int
    policy: str = ""
    states: JsonMapping | None = None
    command: JsonMapping | None = None
    """What the gate understood of its command, with the digests of the programs that it would run."""

    @property
    def digest(self) -> str:
        """SHA-256 of the action alone; policy and states are compared for themselves."""
        return sha256_hex([self.kind, self.effect, self.arguments, self.version_id, self.command])


@dataclass(frozen=True, slots=True)
class Asked:
    """A row as the rules see it."""

    id: UUID
    state: State
    digest: str
    policy: str
    states: JsonObject
    created_at: datetime
    expires_at: datetime
    terms: Terms
    requester: str
    task: str
    decided_at: datetime | None = None
    decided_by: str = ""
    decision_reason: str = ""
    issuer: str = ""
    """Who made the token that asked; UNKNOWN where nobody knows, empty where it was none."""


class Refusal(StrEnum):
    """Why somebody may not decide: for the audit record, never for the one who tried."""

    UNKNOWN = "unknown"
    NOT_OPEN = "not_open"
    LATE = "late"
    ROLE = "role"
    NAME = "name"
    REQUESTER = "requester"
    ISSUER = "issuer"
    """The same hand is on both sides: it made the token that asked, or the token or code that answers."""
    TWICE = "twice"
    NOT_ACTIVE = "not_active"
    RUN_ENDED = "run_ended"
    WRONG_CODE = "wrong_code"


def objection(asked: Asked, by: Principal, now: datetime, minted_by: str = "") -> Refusal | None:
    """Why ``by``, with this present role, may not decide on it now; None when they may.

    ``minted_by``: the principal that made the one-time code which carries their word.
    """
    if asked.state is not State.OPEN:
        return Refusal.NOT_OPEN
    if now >= asked.expires_at:
        return Refusal.LATE
    return not_theirs(asked, by, minted_by)


def not_theirs(asked: Asked, by: Principal, minted_by: str = "") -> Refusal | None:
    """As ``objection``, whatever has become of it since."""
    if not by.role_on(task=asked.task).covers(asked.terms.approvers):
        return Refusal.ROLE
    person = person_of(by.name)
    if person is None and by != CONSOLE:
        return Refusal.ROLE  # a device, a trigger or an agent decides on nothing
    if asked.terms.names and person not in asked.terms.names:
        return Refusal.NAME
    # What somebody may allow themselves they allow by their own hand: no program of theirs does it unseen.
    if asked.terms.self_approval and not by.name.startswith("token:"):
        return None
    return _same_hand(asked, by, hand_of(minted_by or by.name))


_SHARED = frozenset({"", CONSOLE.name, BOX.name})
"""Issuers that stand for no one person: two tokens of theirs need not be of one hand."""


def _same_hand(asked: Asked, by: Principal, hand: str) -> Refusal | None:
    """Who held a token or made a code can have used it: they count as whoever it is for.

    As the SQL function ``safety_same_hand``. Whose token's issuer nobody knows decides on nothing; what such a token
    asked for is for nobody who may make tokens.
    """
    if asked.requester == hand_of(by.name):
        return Refusal.REQUESTER
    if (
        by.issuer == UNKNOWN
        or asked.requester in (hand, by.issuer)
        or asked.issuer in (hand, hand_of(by.name))
    ):
        return Refusal.ISSUER
    if by.issuer not in _SHARED and asked.issuer in (by.issuer, UNKNOWN):
        return Refusal.ISSUER
    may_issue = allowed(by.role, Ability.MANAGE_USERS) or hand in _SHARED
    return Refusal.ISSUER if asked.issuer == UNKNOWN and may_issue else None


def drift(asked: Asked, subject: Subject) -> str:
    """What is not any more as it was asked about; empty when all of it is."""
    if asked.digest != subject.digest:
        return "the action is not the one that was asked about"
    if asked.policy != subject.policy:
        return "another policy is in force"
    return _drift_of_states(asked.states, subject.states or {})


def _drift_of_states(before: JsonMapping, now: JsonMapping) -> str:
    for topic in sorted({*before, *now}):
        if _essence(before.get(topic)) != _essence(now.get(topic)):
            return f"{topic} has changed"
    return ""


def _essence(state: object) -> object:
    """Value and quality: a topic that said the same again has not changed."""
    return (state.get("value"), state.get("quality")) if isinstance(state, dict) else None


class Reached(StrEnum):
    """How far an attempt came with the approval that it used."""

    NOTHING = "nothing"  # its target was away
    UNCLEAR = "unclear"  # it was cut off
    BEGUN = "begun"  # it waits for what it has begun, and only looks


class Move(StrEnum):
    """What the engine does next for a step that must be allowed by a person."""

    ASK = "ask"
    WAIT = "wait"
    PASS = "pass"  # noqa: S105 - a move, no password
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True)
class Judgement:
    """``row`` is what it is about; ``becomes`` the state that the row takes with it."""

    move: Move
    reason: str = ""
    row: Asked | None = None
    becomes: State | None = None


def judge(
    rows: Sequence[Asked], subject: Subject, now: datetime, reached: Reached = Reached.UNCLEAR
) -> Judgement:
    """What the approvals of one attempt of a step (oldest first) mean for what it would do now."""
    if not rows:
        return Judgement(Move.ASK)
    row = rows[-1]
    match row.state:
        case State.DENIED:
            return Judgement(Move.REFUSE, denied(row), row)
        case State.EXPIRED:
            return Judgement(Move.REFUSE, nobody_decided(row), row)
        case State.USED if now >= good_until(row) and reached is not Reached.BEGUN:
            return Judgement(Move.REFUSE, TOO_LATE, row)
        case State.USED if reached is not Reached.NOTHING:
            # The same attempt goes on after a crash or a wait. Its own effect may have changed the states.
            same = (row.digest, row.policy) == (subject.digest, subject.policy)
            return Judgement(Move.PASS if same else Move.ASK, row=row)
        case State.VOID:
            return _anew(rows, "what was asked about has changed", None)
        case State.OPEN if now >= row.expires_at:
            return Judgement(Move.REFUSE, nobody_decided(row), row, State.EXPIRED)
        case State.APPROVED if now >= good_until(row):
            return Judgement(Move.REFUSE, TOO_LATE, row, State.EXPIRED)
    changed = drift(row, subject)
    if changed:
        return _anew(rows, changed, State.VOID)
    if row.state is State.OPEN:
        return Judgement(Move.WAIT, row=row)
    return Judgement(Move.PASS, row=row, becomes=None if row.state is State.USED else State.USED)


def _anew(rows: Sequence[Asked], changed: str, becomes: State | None) -> Judgement:
    if len(rows) < ASKED_AT_MOST:
        return Judgement(Move.ASK, changed, rows[-1], becomes)
    return Judgement(Move.REFUSE, f"{_TWICE_VOID}{changed}", rows[-1], becomes)


def good_until(row: Asked) -> datetime:
    """Until when a given approval counts."""
    return max(row.expires_at, (row.decided_at or row.created_at) + GRACE)


def denied(row: Asked) -> str:
    who = row.decided_by.removeprefix("user:")
    return f"denied by {who}: {row.decision_reason}" if row.decision_reason else f"denied by {who}"


def nobody_decided(row: Asked) -> str:
    return f"{_NOBODY}{format_duration(row.expires_at - row.created_at)}"


def has_lapsed(reason: str) -> bool:
    """Whether a question ended with nobody's no: unanswered, answered too long ago, or about something else by then."""
    return reason.startswith((_NOBODY, _TWICE_VOID)) or reason in (TOO_LATE, VOID)
