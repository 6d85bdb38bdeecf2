"""What the gate decides on: the action, and what it looks at besides."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from appliance.accounts.domain import Role
from appliance.accounts.principal import person_of
from appliance.lib.jsontypes import JsonMapping
from appliance.safety.allstop import of_row
from appliance.safety.budgets.model import Amounts
from appliance.safety.plant_state.domain import Closed
from appliance.safety.policy.facts import Static
from appliance.safety.policy.vocabulary import Origin
from appliance.safety.stop import AllStop

LOOK = """
SELECT s.epoch, s.level, s.since, s.by, s.reason,
    CASE WHEN %(account)s::text IS NULL
    THEN (SELECT accounts_role_on(%(username)s, %(on_task)s) WHERE %(username)s::text IS NOT NULL)
    ELSE (SELECT g.role FROM accounts_mqttgrant g WHERE g.account = %(account)s OR %(account)s = '*'
        ORDER BY array_position(ARRAY['viewer', 'operator', 'engineer', 'admin'], g.role::text) LIMIT 1) END AS role
FROM (SELECT 1) AS one LEFT JOIN safety_allstop s ON s.id = 1
"""


@dataclass(frozen=True, slots=True)
class Action:
    """The typed action that is decided on: exactly what will be done, with its values filled in.

    ``effect`` is the effect class: how it may be repeated, in which its task's author has a word. ``acts`` is whether
    it reaches anything, in which the author has none. ``ceiling`` is the most that its task may do; ``principal`` who
    asked.
    """

    kind: str
    effect: str
    arguments: JsonMapping
    principal: str
    ceiling: str = Role.OPERATOR.value
    run_id: UUID | None = None
    step_id: str = ""
    origin: str = ""
    also: tuple[str, ...] = ()
    """The origins of what led to the run, by which it is judged besides its own."""
    task: str = ""
    acts: bool = True
    plant: Closed | None = None
    """Where the task's or the step's own condition on the plant, or one of the policy's, closes the gate now."""
    budget: Amounts | None = None
    """The task's own."""
    proposed: str = ""
    """Why a person has to be asked before it, whatever the policy says: an agent proposes it."""
    risk: str = ""
    """What a call of an agent does to the world, as its tool says: read, change or destroy. Empty: no agent's."""
    outside: bool = True
    """Whether that agent had read what comes from outside."""
    unless_read: str = ""
    """The same, of a command that is taken for a read: it is asked about unless its programs make it one."""
    must_read: bool = False
    """Such a command is done as a read or not at all."""

    @property
    def static(self) -> Static:
        return Static(self.kind, self.origin, self.task, self.principal, self.also)

    @property
    def username(self) -> str | None:
        """The person behind the principal, whose present role counts; None for triggers and the box."""
        return person_of(self.principal)

    @property
    def mqtt_account(self) -> str | None:
        """The MQTT account that gave the command, whose present grant counts; ``*`` is any granted one."""
        kind, _, rest = self.principal.partition(":")
        return rest if kind == "mqtt" and rest else None

    @property
    def who(self) -> dict[str, str | None]:
        """The parameters of ``LOOK``."""
        return {"username": self.username, "account": self.mqtt_account, "on_task": self.task}

    @property
    def without_agent(self) -> "Action":
        """The same, done by whoever asked the agent."""
        also = tuple(one for one in self.also if one != Origin.AGENT)
        return replace(self, also=also, proposed="", risk="")

    @property
    def has_person(self) -> bool:
        """Whether somebody stands behind it whose present role counts."""
        return self.username is not None or self.mqtt_account is not None


@dataclass(frozen=True, slots=True)
class Look:
    """What the gate decides on besides the action: the switch, and the present role of the person behind it."""

    stop: AllStop = field(default_factory=AllStop)
    role: Role | None = None

    @classmethod
    def of_row(cls, row: Sequence[Any] | None) -> "Look":
        """Of a row of ``LOOK``."""
        return cls(of_row(row[:5] if row else None), Role(row[5]) if row and row[5] else None)
