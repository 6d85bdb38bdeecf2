"""The most that a run may do: what its task says, and never more than the run that called it."""

from appliance.accounts.domain import Role, lower
from appliance.lib.jsontypes import JsonMapping
from appliance.tasks.definition import TaskDefinition

KEY = "ceiling"
"""Among a run's inputs: the role of the run that called it."""


def ceiling_of(definition: TaskDefinition, inputs: JsonMapping) -> Role:
    """What the caller handed down only ever lowers it; something that is no role there means the lowest."""
    own = definition.principal or Role.OPERATOR
    if KEY not in inputs:
        return own
    handed = inputs[KEY]
    return lower(own, Role(str(handed))) if handed in set(Role) else Role.VIEWER
