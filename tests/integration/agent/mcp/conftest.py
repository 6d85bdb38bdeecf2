"""Servers of tools to talk to, and an agent that may."""

from collections.abc import Iterator

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.principal import CONSOLE
from appliance.agent.domain import Risk
from appliance.agent.mcp.client import services
from appliance.agent.mcp.client.domain import ServerSpec
from appliance.agent.models import McpTool
from tests.integration.agent.loop.conftest import Agent, agent
from tests.integration.runs.conftest import clean, engine, pool, silent_hints
from tests.standins.mcp_tools import McpStandin

__all__ = ["Agent", "agent", "clean", "engine", "pool", "silent_hints"]


@pytest.fixture
def store() -> Iterator[McpStandin]:
    with McpStandin() as server:
        yield server


async def add(store: McpStandin, agent: Agent, **risks: Risk) -> None:
    """The store as a server of the box, looked at, with these of its tools allowed."""

    def work() -> None:
        now = agent.clock.now()
        services.save_server(ServerSpec("store", store.url, private=True), CONSOLE, now)
        services.look("store", CONSOLE, now)
        for tool, risk in risks.items():
            row = McpTool.objects.get(server_id="store", name=tool)
            services.allow_tool("store", tool, risk, row.digest, CONSOLE, now)

    await sync_to_async(work)()


async def look(agent: Agent) -> None:
    await sync_to_async(services.look)("store", CONSOLE, agent.clock.now())


async def states() -> dict[str, str]:
    return {row.name: services.state_of(row).value async for row in McpTool.objects.select_related("server")}
