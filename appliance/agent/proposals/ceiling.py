"""A job that an agent makes can never do more than the turn that made it: its text says so from the beginning. Pure."""

import re

from appliance.accounts.domain import Role, lower
from appliance.agent.errors import ProposalRefused
from appliance.tasks.definition import TaskDefinition

_NAME_LINE = re.compile(r"^(?P<before>[ \t]*(?:-[ \t]+)?)name:.*$", re.MULTILINE)


def check(definition: TaskDefinition, most: Role) -> None:
    """Raises ProposalRefused where the task would be given more than ``most``."""
    wanted = definition.principal
    if wanted is not None and not most.covers(wanted):
        raise ProposalRefused(
            f"principal: {wanted} is more than this run may do itself",
            hint=f"write principal: {most} or less",
        )


def with_ceiling(text: str, definition: TaskDefinition, most: Role) -> str:
    """The text with a ``principal:`` where it has none: as much as a task without one may do, and no more than
    ``most``. Raises ProposalRefused where there is no place for it."""
    if definition.principal is not None:
        return text
    role = lower(Role.OPERATOR, most)
    found = _NAME_LINE.search(text)
    if found is None:
        raise ProposalRefused("the task says no principal", hint=f"write principal: {role}")
    blanks = " " * len(found["before"])
    return f"{text[: found.end()]}\n{blanks}principal: {role}{text[found.end() :]}"
