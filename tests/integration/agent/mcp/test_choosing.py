"""Very many tools of other servers: a step has few of them, read at once, and says what it has not."""

import json
from datetime import UTC, datetime

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from appliance.accounts.principal import CONSOLE
from appliance.agent.domain import Risk
from appliance.agent.mcp.client import choosing, services
from appliance.agent.mcp.client.choosing import MOST, MOST_CLOSED, chosen
from appliance.agent.mcp.client.domain import ServerSpec, ToolSeen
from appliance.agent.models import McpTool
from tests.integration.agent.mcp.conftest import Agent, add
from tests.scripted_model import end
from tests.standins.mcp_tools import McpStandin

NOW = datetime(2026, 3, 1, tzinfo=UTC)

pytestmark = pytest.mark.django_db


def server(name: str, count: int, says: str = "Reads meter {} of the hall.", room: int = 0) -> None:
    services.save_server(ServerSpec(name, f"https://{name}.example/mcp"), CONSOLE, NOW)
    schema = {
        "type": "object",
        "properties": {f"p{number}": {"type": "string", "description": "x" * 200} for number in range(room)},
    }
    tools = [ToolSeen.of(f"tool_{one:04}", says.format(one), schema, {}) for one in range(count)]
    rows = [
        McpTool(
            server_id=name,
            name=one.name,
            says=one.says,
            schema=one.schema,
            digest=one.digest,
            seen_at=NOW,
            risk=Risk.READ.value,
            allowed_digest=one.digest,
        )
        for one in tools
    ]
    McpTool.objects.bulk_create(rows)


def test_a_step_has_few_of_very_many_and_says_how_many_it_has_not() -> None:
    server("hall", 900)
    server("yard", 100)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        found = chosen({"mcp.*": {}}, "What does meter 7 say?")
    assert len(asked) == 1, "however many there are"
    assert len(found.remote) == len(found.tools) == MOST
    assert f"{1_000 - MOST} of these are more than a step has room for" in str(found.closed["mcp.*"])


def test_what_is_written_out_comes_first_then_what_is_nearest_to_the_goal() -> None:
    server("hall", 200)
    McpTool.objects.filter(name="tool_0150").update(says="Orders a spare bearing for a pump.")
    found = chosen({"mcp.hall.*": {}, "mcp.hall.tool_0199": {"p": 1}}, "Order a spare bearing for the pump")
    assert list(found.remote)[:2] == ["mcp.hall.tool_0199", "mcp.hall.tool_0150"]
    assert found.tools["mcp.hall.tool_0199"] == {"p": 1}


def test_servers_that_are_not_named_are_not_read() -> None:
    server("hall", 3)
    server("yard", 3)
    with CaptureQueriesContext(connection) as asked:
        found = chosen({"mcp.yard.*": {}}, "x")
    assert set(found.remote) == {f"mcp.yard.tool_000{one}" for one in range(3)}
    assert found.closed == {}
    assert "'yard'" in asked[0]["sql"]


def test_long_descriptions_take_the_room_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    server("hall", 30, room=40)
    monkeypatch.setattr(choosing, "ROOM", 50_000)
    found = chosen({"mcp.hall.*": {}}, "x")
    assert 0 < len(found.remote) < 10
    assert len(json.dumps(found.remote)) < 50_000 + 20_000
    assert "more than a step has room for" in str(found.closed["mcp.hall.*"])


def test_of_many_that_are_closed_a_few_are_named_and_the_rest_counted() -> None:
    server("hall", 30)
    McpTool.objects.update(gone=True)
    found = chosen({"mcp.hall.*": {}}, "x")
    assert (len(found.remote), len(found.closed)) == (0, MOST_CLOSED + 1)
    assert found.closed["mcp.hall.*"] == f"{30 - MOST_CLOSED} more of these are closed"


@pytest.mark.django_db(transaction=True)
async def test_a_turn_is_given_few_of_them_and_told_of_the_rest(agent: Agent, store: McpStandin) -> None:
    await agent.policy()
    store.tools = [
        {
            "name": f"meter_{number}",
            "description": f"Reads meter {number}.",
            "inputSchema": {"type": "object"},
        }
        for number in range(100)
    ]
    await add(store, agent, **{f"meter_{number}": Risk.READ for number in range(100)})
    script = agent.says(end("Nothing to do."))
    await agent.go_on(await agent.ask(tools="[mcp.store.*]"))
    told = script.told(0)
    assert told.count(": a tool of another server.") == 8
    assert "more_tools(about)" in told
    assert (
        f"mcp.store.*: not to be had now, for {100 - MOST} of these are more than a step has room for" in told
    )
