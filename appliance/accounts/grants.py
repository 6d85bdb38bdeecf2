"""A higher role for some tasks, topics, devices and secrets only: "operator of line 3".

A person's own role counts everywhere; a grant only ever adds. What it reaches is said by name: tasks, devices and
secrets by a pattern (``*`` any characters, ``?`` one), topics by an MQTT topic filter. Pure.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypedDict

from appliance.accounts.domain import Ability, Role
from appliance.accounts.errors import GrantRefused
from appliance.lib.jsontypes import JsonObject
from appliance.lib.topic_filters import covers, filter_fault

GRANTABLE = (Role.OPERATOR, Role.ENGINEER)
"""Everybody looks at everything, and what administrators do is about the whole box."""

ON_TASKS = frozenset({Ability.RUN_TASKS, Ability.CANCEL_RUNS, Ability.APPROVE, Ability.EDIT_TASKS})
ON_TOPICS = frozenset({Ability.PUBLISH})
ON_DEVICES = frozenset({Ability.MANAGE_DEVICES})
ON_SECRETS = frozenset({Ability.USE_SECRETS})
"""The abilities that a grant can give: their services ask about the object. For all others the own role counts."""

MOST = 20
"""Grants of one person: each decision goes through all of them."""

# No brackets: they would mean one thing to fnmatch and another to the database.
_NAMES = re.compile(r"[A-Za-z0-9_.*?-]{1,100}")
_MOST_STARS = 4


class On(TypedDict, total=False):
    """What something is to be done to; without any of it, to whatever there is."""

    task: str | None
    topic: str | None
    device: str | None
    secret: str | None


@dataclass(frozen=True, slots=True)
class Grant:
    """``role`` on the tasks, devices and secrets whose names fit, and the topics under ``topics``; empty: on none."""

    role: Role
    tasks: str = ""
    topics: str = ""
    devices: str = ""
    secrets: str = ""

    def __str__(self) -> str:
        where = [f"{what} {pattern}" for what, pattern in self._where.items() if pattern]
        return f"{self.role} on {' and '.join(where)}"

    @property
    def _where(self) -> dict[str, str]:
        return {
            "tasks": self.tasks,
            "topics": self.topics,
            "devices": self.devices,
            "secrets": self.secrets,
        }

    def checked(self) -> "Grant":
        """Itself. Raises GrantRefused."""
        if self.role not in GRANTABLE:
            raise GrantRefused(
                f"{self.role} cannot be granted on some tasks only", hint=f"one of {', '.join(GRANTABLE)}"
            )
        if not any(self._where.values()):
            raise GrantRefused(
                "a grant names tasks, topics, devices or secrets", hint="as in line3-* and plant/line3/#"
            )
        for what in ("tasks", "devices", "secrets"):
            pattern = self._where[what]
            if pattern and (not _NAMES.fullmatch(pattern) or pattern.count("*") > _MOST_STARS):
                raise GrantRefused(
                    f"{pattern!r} is no pattern of {what[:-1]} names",
                    hint=f"letters, digits, _ . - with ? for one character and at most {_MOST_STARS} *: line3-*",
                )
        if self.topics and (fault := filter_fault(self.topics)):
            raise GrantRefused(fault[0], hint=fault[1])
        if self.role is Role.OPERATOR and not (self.tasks or self.topics):
            raise GrantRefused(
                "an operator manages no devices and names no secrets", hint="grant the role engineer on them"
            )
        return self

    def reaches(self, on: On) -> bool:
        """Whether it is about one of these."""
        topic = on.get("topic")
        return (
            _fits(self.tasks, on.get("task"))
            or _fits(self.devices, on.get("device"))
            or _fits(self.secrets, on.get("secret"))
            or (topic is not None and bool(self.topics) and covers(self.topics, topic))
        )

    def is_about(self, ability: Ability) -> bool:
        """Whether it can give this ability on anything at all."""
        return bool(
            (self.tasks and ability in ON_TASKS)
            or (self.topics and ability in ON_TOPICS)
            or (self.devices and ability in ON_DEVICES)
            or (self.secrets and ability in ON_SECRETS)
        )

    @property
    def like(self) -> str:
        """``tasks`` as SQL's LIKE reads it (``accounts_role_on``); empty matches no task."""
        escaped = self.tasks.replace("_", r"\_")
        return escaped.replace("*", "%").replace("?", "_")

    def to_json(self) -> JsonObject:
        return {"role": self.role.value, **self._where}


def grants_of(rows: Iterable[Mapping[str, Any]]) -> tuple[Grant, ...]:
    """Of a person's column."""
    return tuple(
        Grant(
            Role(row["role"]),
            row["tasks"],
            row["topics"],
            row.get("devices", ""),
            row.get("secrets", ""),
        )
        for row in rows
    )


def concerning(ability: Ability, on: On) -> On:
    """Of what something is done to, that for which this ability can be granted."""
    return On(
        task=on.get("task") if ability in ON_TASKS else None,
        topic=on.get("topic") if ability in ON_TOPICS else None,
        device=on.get("device") if ability in ON_DEVICES else None,
        secret=on.get("secret") if ability in ON_SECRETS else None,
    )


def _fits(pattern: str, name: str | None) -> bool:
    return name is not None and bool(pattern) and fnmatchcase(name, pattern)
