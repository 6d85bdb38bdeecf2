"""The tools of one agent: those of the box, and those of other servers as they were when its step began. Pure."""

from collections.abc import Mapping
from typing import Any

from appliance.agent.domain import Asked
from appliance.agent.mcp.client.domain import Pinned
from appliance.agent.mcp.client.tool import RemoteTool
from appliance.agent.tools.contract import Tool
from appliance.agent.tools.registry import tools


def toolbox(asked: Asked) -> Mapping[str, Tool[Any]]:
    """Every tool that the agent could be given, by name."""
    if not asked.remote:
        return tools()
    return {**tools(), **{name: RemoteTool(Pinned.of(one)) for name, one in asked.remote.items()}}
