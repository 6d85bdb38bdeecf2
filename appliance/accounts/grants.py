"""A higher role for some tasks and topics only: "operator of line 3".

A person's own role counts everywhere; a grant only ever adds. What it reaches is said by name: tasks by a pattern
(``*`` any characters, ``?`` one), topics by an MQTT topic filter. Pure.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from appliance.accounts.domain import Ability, Role
from appliance.accounts.errors import GrantRefused
from appliance.lib.jsontypes import JsonObject
from appliance.lib.topic_filters import covers, filter_fault

GRANTABLE = (Role.OPERATOR, Role.ENGINEER)
"""Everybody looks at everything, and what administrators do is about the whole box."""

ON_TASKS = frozenset({Ability.RUN_TASKS, Ability.CANCEL_RUNS, Ability.APPROVE, Ability.EDIT_TASKS})
ON_TOPICS = frozenset({Ability.PUBLISH})
"""The abilities that a grant can give: their services ask about the object. For all others the own role counts."""

MOST = 20
"""Grants of one person: each decision goes through all of them."""

# No brackets: they would mean one thing to fnmatch and another to the database.
_TASKS = re.compile(r"[A-Za-z0-9_.*?-]{1,100}")
_MOST_STARS = 4


@dataclass(frozen=True, slots=True)
class Grant:
    """``role`` on the tasks whose names fit ``tasks`` and the topics under ``topics``; empty: on none."""

    role: Role
    tasks: str = ""
    topics: str = ""

    def __str__(self) -> str:
        where = [f"tasks {self.tasks}"] * bool(self.tasks) + [f"topics {self.topics}"] * bool(self.topics)
        return f"{self.role} on {' and '.join(where)}"

    def checked(self) -> "Grant":
        """Itself. Raises GrantRefused."""
        if self.role not in GRANTABLE:
            raise GrantRefused(
                f"{self.role} cannot be granted on some tasks only", hint=f"one of {', '.join(GRANTABLE)}"
            )
        if not self.tasks and not self.topics:
            raise GrantRefused("a grant names tasks, topics or both", hint="as in line3-* and plant/line3/#")
        if self.tasks and (not _TASKS.fullmatch(self.tasks) or self.tasks.count("*") > _MOST_STARS):
            raise GrantRefused(
                f"{self.tasks!r} is no pattern of task names",
                hint=f"letters, digits, _ . - with ? for one character and at most {_MOST_STARS} *: line3-*",
            )
        if self.topics and (fault := filter_fault(self.topics)):
            raise GrantRefused(fault[0], hint=fault[1])
        return self

    def reaches(self, *, task: str | None = None, topic: str | None = None) -> bool:
        """Whether it is about this task or topic."""
        if task is not None:
            return bool(self.tasks) and fnmatchcase(task, self.tasks)
        return topic is not None and bool(self.topics) and covers(self.topics, topic)

    @property
    def like(self) -> str:
        """``tasks`` as SQL's LIKE reads it (``accounts_role_on``); empty matches no task."""
        escaped = self.tasks.replace("_", r"\_")
        return escaped.replace("*", "%").replace("?", "_")

    def to_json(self) -> JsonObject:
        return {"role": self.role.value, "tasks": self.tasks, "topics": self.topics}


def grants_of(rows: Iterable[Mapping[str, Any]]) -> tuple[Grant, ...]:
    """Of a person's column."""
    return tuple(Grant(Role(row["role"]), row["tasks"], row["topics"]) for row in rows)
