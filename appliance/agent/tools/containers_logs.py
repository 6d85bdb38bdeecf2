"""``containers.logs``: what the engine of a model writes."""

from typing import Annotated

from pydantic import Field

from appliance.agent.container_rows import log_of
from appliance.agent.tools.contract import Arguments, Asking, QueryTool
from appliance.lib.jsontypes import JsonValue


class ContainersLogsArguments(Arguments):
    name: str
    """The container's name, as containers.list gives it."""
    lines: Annotated[int, Field(ge=1, le=200)] = 50
    """How many, the newest."""


class ContainersLogsTool(QueryTool[ContainersLogsArguments]):
    name = "containers.logs"
    says = "Read the last lines of a model engine's container; what a step wrote is in runs.output."
    arguments = ContainersLogsArguments
    example = {"name": "mw-0a1b2c3d4e5f-qwen3-8b-g1", "lines": 50}

    def answer(self, given: ContainersLogsArguments, asking: Asking) -> JsonValue:
        return log_of(given.name, given.lines, asking.by)
