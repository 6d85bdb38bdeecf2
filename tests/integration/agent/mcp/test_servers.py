"""Servers of tools: what a change of one does to its tools, and when none is looked at."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from appliance.accounts.principal import CONSOLE
from appliance.agent.domain import Risk
from appliance.agent.errors import McpAway, McpRefused
from appliance.agent.mcp.client import services
from appliance.agent.mcp.client.domain import ServerSpec, ToolSeen
from appliance.audit.models import AuditRecord
from appliance.safety import allstop
from appliance.safety.allstop import Level
from appliance.safety.errors import SecretMissing
from appliance.safety.secrets import remove_secret, set_secret
from appliance.sandbox.errors import SandboxUnavailable
from appliance.sandbox.ports import Job, Outcome
from tests.integration.agent.mcp.conftest import Agent, add, look, states
from tests.standins.mcp_tools import McpStandin

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OF_WORDS = ServerSpec("words", command=("/usr/bin/tools", "--dir", "/a b"), reads=("/srv/a",))


@pytest.mark.parametrize(
    "changed",
    [
        {"command": ("/usr/bin/tools", "--dir", "/a", "b")},
        {"command": ("/usr/bin/tools --dir", "/a b")},
        {"reads": ("/srv/a", "/etc")},
        {"reads": ()},
    ],
)
async def test_another_command_or_another_reach_forgets_its_tools(
    agent: Agent, changed: dict[str, Any]
) -> None:
    def work() -> None:
        now = agent.clock.now()
        services.save_server(OF_WORDS, CONSOLE, now)
        tool = ToolSeen.of("find", "Find.", {"type": "object"}, {})
        services.saw("words", [tool], now, CONSOLE.name)
        services.allow_tool("words", "find", Risk.READ, tool.digest, CONSOLE, now)
        services.save_server(replace(OF_WORDS, enabled=False), CONSOLE, now)
        assert services.seen_digest("words", "find"), "what says nothing of the place keeps them"
        services.save_server(replace(OF_WORDS, **changed), CONSOLE, now)
        assert not services.seen_digest("words", "find")

    await sync_to_async(work)()


async def test_a_server_that_is_reached_in_the_plants_network_or_no_more_has_other_tools(
    agent: Agent, store: McpStandin
) -> None:
    await add(store, agent, find=Risk.READ)
    public = ServerSpec("store", store.url)
    await sync_to_async(services.save_server)(public, CONSOLE, agent.clock.now())
    assert await states() == {}


@pytest.mark.parametrize(("level", "starts"), [(Level.FREEZE, True), (Level.KILL, False), (Level.CUT, False)])
async def test_no_command_is_started_by_a_look_where_the_all_stop_kills_what_runs(
    agent: Agent, level: Level, starts: bool
) -> None:
    started: list[Job] = []

    async def run(job: Job) -> Outcome:
        started.append(job)
        raise SandboxUnavailable("it is enough to know that it was asked for")

    def work() -> None:
        now = agent.clock.now()
        services.save_server(OF_WORDS, CONSOLE, now)
        allstop.engage(level, "a fire", CONSOLE, now)
        with pytest.raises(McpAway if starts else McpRefused):
            services.look("words", CONSOLE, now, run=run)

    await sync_to_async(work)()
    assert bool(started) is starts


async def test_a_server_at_an_address_is_looked_at_until_the_network_is_cut(
    agent: Agent, store: McpStandin
) -> None:
    await add(store, agent)
    await sync_to_async(allstop.engage)(Level.KILL, "a fire", CONSOLE, agent.clock.now())
    await look(agent)
    await sync_to_async(allstop.engage)(Level.CUT, "a fire", CONSOLE, agent.clock.now())
    with pytest.raises(McpRefused, match="cut the network"):
        await look(agent)


@pytest.mark.parametrize(
    "changed",
    [
        {"url": "https://other.example/mcp"},
        {"secret": "secret:OTHER"},
        {"secret": ""},
        {"private": True},
    ],
)
def test_tools_of_an_address_are_closed_where_it_is_another_or_spoken_to_as_somebody_else(
    db: None, changed: dict[str, Any]
) -> None:
    spec = ServerSpec("shop", "https://tools.example/mcp", secret="secret:SHOP")
    for name in ("SHOP", "OTHER"):
        set_secret(name, "sesame-sesame", CONSOLE, NOW)
    allowed(spec)
    set_secret("SHOP", "renewed-renewed", CONSOLE, NOW)
    services.save_server(replace(spec, enabled=False), CONSOLE, NOW)
    services.save_server(spec, CONSOLE, NOW)
    assert services.pinned_tool("shop", "find"), "a renewed credential, and a switch, keep them"
    services.save_server(replace(spec, **changed), CONSOLE, NOW)
    with pytest.raises(McpRefused, match="nobody has seen it"):
        services.pinned_tool("shop", "find")
    assert last_record()["closed"] == ["find"]


@pytest.mark.parametrize("changed", [{"env": "WORDS_DSN"}, {"secret": "secret:OTHER"}])
def test_tools_of_a_command_are_closed_where_its_secret_or_the_variable_is_another(
    db: None, changed: dict[str, Any]
) -> None:
    spec = replace(OF_WORDS, env="WORDS_TOKEN", secret="secret:SHOP")
    for name in ("SHOP", "OTHER"):
        set_secret(name, "sesame-sesame", CONSOLE, NOW)
    allowed(spec)
    services.save_server(replace(spec, **changed), CONSOLE, NOW)
    assert not services.seen_digest("words", "find")


def test_a_secret_that_the_box_does_not_keep_is_refused_by_its_name(db: None) -> None:
    spec = ServerSpec("shop", "https://tools.example/mcp", secret="secret:NOPE")
    with pytest.raises(SecretMissing, match="NOPE"):
        services.save_server(spec, CONSOLE, NOW)
    assert services.list_servers() == []
    services.save_server(replace(spec, secret=""), CONSOLE, NOW)
    with pytest.raises(SecretMissing, match="NOPE"):
        services.save_server(spec, CONSOLE, NOW)
    assert services.find_server("shop").secret == ""


def test_a_server_whose_secret_was_removed_can_still_be_switched_off(db: None) -> None:
    spec = ServerSpec("shop", "https://tools.example/mcp", secret="secret:SHOP")
    set_secret("SHOP", "sesame-sesame", CONSOLE, NOW)
    services.save_server(spec, CONSOLE, NOW)
    remove_secret("SHOP", CONSOLE)
    assert not services.save_server(replace(spec, enabled=False), CONSOLE, NOW).enabled


def allowed(spec: ServerSpec) -> None:
    """The server with one tool that an admin has allowed."""
    services.save_server(spec, CONSOLE, NOW)
    tool = ToolSeen.of("find", "Find.", {"type": "object"}, {})
    services.saw(spec.name, [tool], NOW, CONSOLE.name)
    services.allow_tool(spec.name, "find", Risk.READ, tool.digest, CONSOLE, NOW)


def last_record() -> Any:
    return AuditRecord.objects.filter(kind="mcp.server_changed").latest("seq").detail
