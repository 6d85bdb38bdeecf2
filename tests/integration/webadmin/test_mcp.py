"""/mcp of the running web process with the official client, in both of the protocol's forms."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any
from uuid import UUID

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.db import connections
from mcp import Client
from mcp.shared.exceptions import MCPError

from appliance.accounts.domain import Ability
from appliance.accounts.models import ApiToken, User
from appliance.accounts.principal import BOX, CONSOLE
from appliance.accounts.tokens import revoke_api_token
from appliance.actions.registry import registry
from appliance.audit.models import AuditRecord
from appliance.lib.config import Config
from appliance.runs import approvals
from appliance.runs.models import Run
from appliance.safety.approvals.domain import Choice, Way
from appliance.safety.approvals.models import Approval
from appliance.safety.approvals.services import Word
from appliance.safety.policy.services import apply
from appliance.tasks.services import set_enabled
from tests.integration.agent.loop.conftest import ALLOW
from tests.integration.runs.conftest import Engine, clean, engine, pool, silent_hints
from tests.integration.webadmin.web_process import web_process
from tests.mcp_desk import Wire, furnish, now, official, token_for
from tests.wait import wait_for_async

__all__ = ["clean", "engine", "pool", "silent_hints"]

pytestmark = pytest.mark.slow
BOTH = pytest.mark.parametrize("mode", ["auto", "legacy"])


@pytest.fixture(scope="module")
def place(engines: Config, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with web_process(engines, tmp_path_factory.mktemp("web")) as place:
        yield place


@pytest.fixture
async def ann(place: str, engine: Engine) -> AsyncIterator[User]:
    yield await sync_to_async(furnish)()
    await sync_to_async(connections.close_all)()


@pytest.fixture
async def token(ann: User) -> str:
    return await sync_to_async(token_for)(ann)


async def begun(task: str) -> Run:
    """The run of the task, once there is one."""

    async def there() -> bool:
        return await Run.objects.filter(trigger="called").aexists()

    await wait_for_async(there, 15, "a run has begun")
    return await Run.objects.filter(trigger="called").alatest("id")


async def called(client: Client, engine: Engine, name: str, **given: Any) -> dict[str, Any]:
    """Call a task, perform its run, give what the call gave."""
    call = asyncio.create_task(client.call_tool(name, given))
    await engine.perform((await begun(name)).pk)
    result = await call
    assert not result.is_error, result.content
    found: dict[str, Any] = result.structured_content
    return found


@BOTH
async def test_a_token_sees_the_questions_and_tasks_that_it_may_call(
    place: str, token: str, mode: str
) -> None:
    async with official(place, token, mode) as client:
        found = {one.name: one for one in (await client.list_tools()).tools}
    assert {"runs.list", "runs.show", "tasks.list", "say", "restart_pump", "runs.cancel"} <= found.keys()
    assert not {"mqtt", "shell", "http", "task_run", "sql_query", "notify"} & found.keys()
    hints = {name: one.annotations.read_only_hint for name, one in found.items() if one.annotations}
    assert (hints["runs.list"], hints["say"], hints["tell"], hints["runs.cancel"]) == (
        True,
        True,
        False,
        False,
    )
    assert found["restart_pump"].description == "Restarts the pump"
    assert found["say"].input_schema["properties"]["loud"] == {"type": "boolean", "default": False}


@pytest.mark.parametrize(
    ("scopes", "there", "absent"),
    [
        ([Ability.VIEW], "runs.list", "say"),
        ([Ability.RUN_TASKS], "say", "runs.list"),
        ([Ability.CANCEL_RUNS], "runs.cancel", "say"),
    ],
)
async def test_scopes_decide_what_is_offered_and_what_is_done(
    place: str, ann: User, scopes: list[Ability], there: str, absent: str
) -> None:
    token = await sync_to_async(token_for)(ann, "narrow", scopes)
    async with official(place, token) as client:
        names = {one.name for one in (await client.list_tools()).tools}
        assert there in names
        assert absent not in names
        with contextlib.suppress(MCPError):
            assert (await client.call_tool(absent, {})).is_error
    assert not await Run.objects.aexists()


@BOTH
async def test_a_question_is_answered_at_once(place: str, token: str, mode: str) -> None:
    async with official(place, token, mode) as client:
        result = await client.call_tool("tasks.list", {"word": "rest"})
    assert [one["task"] for one in result.structured_content["result"]] == ["restart"]


@BOTH
async def test_a_task_runs_in_the_tokens_name_and_gives_its_outputs(
    place: str, token: str, engine: Engine, mode: str
) -> None:
    async with official(place, token, mode) as client:
        given = await called(client, engine, "say", word="good morning")
    assert (given["state"], given["outputs"]) == ("succeeded", {"said": "good morning!"})
    run = await Run.objects.aget(pk=UUID(given["run"]))
    assert (run.principal, run.origin) == ("token:ann/bot", "mcp")
    record = await AuditRecord.objects.filter(kind="run.started").alatest("seq")
    assert json.loads(record.body)["detail"] == {"origin": "mcp", "also": ["api", "manual"], "task": "say"}


async def test_progress_is_told_while_a_run_goes_on(place: str, token: str, engine: Engine) -> None:
    heard: list[str] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")

    async with official(place, token) as client:
        call = asyncio.create_task(client.call_tool("say", {}, progress_callback=note))
        run = await begun("say")
        await wait_for_async(lambda: bool(heard), 15, "the first word of progress")
        await engine.perform(run.pk)
        await call
    assert heard[0] == "queued"
    assert heard[-1] == "succeeded"


async def test_a_run_that_waits_for_a_person_says_so_and_is_asked_for_again(
    place: str, token: str, engine: Engine, ann: User
) -> None:
    other = await sync_to_async(User.objects.create)(username="bea", role="engineer")
    async with official(place, token) as client:
        given = await called(client, engine, "restart_pump", pump="7")
        assert (given["state"], given["waiting_for"]) == ("waiting", "approval")
        (asked,) = given["approvals"]
        assert "Restart pump 7?" in asked["asks"]
        assert await Approval.objects.filter(code=asked["code"]).aexists()
        row = await Approval.objects.aget()
        word = Word(Choice.APPROVE, other.principal, Way.WEB, engine.clock.now())
        await sync_to_async(approvals.decide)(str(row.pk), word)
        await engine.perform(UUID(given["run"]))
        shown = await client.call_tool(given["ask_again"], {"run": given["run"]})
    assert shown.structured_content["state"] == "succeeded"


async def test_a_call_with_the_same_name_is_done_once(place: str, token: str, engine: Engine) -> None:
    meta: Any = {"io.millwright/key": "order-4711"}
    async with official(place, token) as client:
        calls = [asyncio.create_task(client.call_tool("say", {"word": "a"}, meta=meta)) for _ in range(2)]
        await engine.perform((await begun("say")).pk)
        runs = {(await one).structured_content["run"] for one in calls}
        again = await client.call_tool("say", {"word": "a"}, meta=meta)
        assert again.structured_content["run"] in runs
        other = await client.call_tool("say", {"word": "b"}, meta=meta)
        assert other.is_error
        assert "another call had this name" in other.content[0].text  # type: ignore[union-attr]
    assert len(runs) == await Run.objects.acount() == 1


async def test_a_client_that_cancels_its_call_ends_the_run(place: str, token: str, engine: Engine) -> None:
    async with official(place, token, "legacy") as client:
        call = asyncio.create_task(client.call_tool("slow", {}))
        run = await begun("slow")
        await engine.perform(run.pk)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await call

        async def ended() -> bool:
            return await engine.state(run.pk) == "cancelled"

        await wait_for_async(ended, 15, "the run is cancelled")


@pytest.mark.parametrize("alone", [True, False])
async def test_a_connection_that_is_lost_ends_no_run(
    place: str, token: str, engine: Engine, alone: bool
) -> None:
    """In the newer form a client that gives up closes its connection: that looks the same, and counts as that."""
    with Wire(place, token) as wire:
        if not alone:
            await asyncio.to_thread(wire.begin)
        wire.http.timeout = httpx.Timeout(3)
        ask = wire.alone if alone else wire.ask
        call = asyncio.create_task(asyncio.to_thread(ask, "tools/call", {"name": "slow", "arguments": {}}))
        run = await begun("slow")
        await engine.perform(run.pk)
        with pytest.raises(httpx.ReadTimeout):
            await call
    async with official(place, token) as other:
        shown = await other.call_tool("runs.show", {"run": str(run.pk)})
        assert shown.structured_content["state"] == "waiting"
        ended = await other.call_tool("runs.cancel", {"run": str(run.pk)})
        assert not ended.is_error
    assert await engine.state(run.pk) == "cancelled"


@BOTH
async def test_a_token_that_is_revoked_ends_what_is_under_way(
    place: str, token: str, engine: Engine, mode: str
) -> None:
    row = await ApiToken.objects.aget(name="bot")
    with pytest.raises(BaseException):  # noqa: B017, PT012 - however the client puts it
        async with asyncio.timeout(20), official(place, token, mode) as client:
            call = asyncio.create_task(client.call_tool("slow", {}))
            await begun("slow")
            await sync_to_async(revoke_api_token)(row.pk, BOX, now())
            result = await call
            assert result.is_error, "it came to no good end"
            await client.list_tools()


async def test_a_policy_about_tokens_or_about_mcp_holds_for_a_called_task(
    place: str, token: str, engine: Engine
) -> None:
    for origin in ("api", "mcp"):
        rule = f"{{id: no, kinds: mqtt, origin: {origin}, decide: deny}}"
        text = ALLOW + f"rules: [{rule}]\n"
        await sync_to_async(apply)(text, "p.yaml", CONSOLE, engine.clock.now(), kinds=registry())
        async with official(place, token) as client:
            call = asyncio.create_task(client.call_tool("tell", {}))
            await engine.perform((await begun("tell")).pk)
            result = await call
        assert result.is_error, origin
        await engine.sql("DELETE FROM runs_run")
    assert engine.world.published == []


async def test_what_does_not_fit_starts_nothing(place: str, token: str) -> None:
    async with official(place, token) as client:
        for wrong in ({"word": 7}, {"wort": "x"}, {"often": "many"}):
            result = await client.call_tool("say", wrong)
            assert result.is_error, wrong
        with pytest.raises(MCPError, match="there is no tool 'nothing'"):
            await client.call_tool("nothing", {})
    assert not await Run.objects.aexists()


async def test_a_task_that_is_switched_off_is_no_tool(place: str, token: str) -> None:
    await sync_to_async(set_enabled)("say", False, BOX, now())
    async with official(place, token) as client:
        assert "say" not in {one.name for one in (await client.list_tools()).tools}
        with pytest.raises(MCPError, match="there is no tool"):
            await client.call_tool("say", {})


@BOTH
async def test_tasks_and_runs_are_read_as_resources(
    place: str, token: str, engine: Engine, mode: str
) -> None:
    async with official(place, token, mode) as client:
        uris = {str(one.uri) for one in (await client.list_resources()).resources}
        assert "millwright://tasks/say" in uris
        text = (await client.read_resource("millwright://tasks/say")).contents[0].text  # type: ignore[union-attr]
        assert "Says a word" in text
        given = await called(client, engine, "say")
        shown = await client.read_resource(f"millwright://runs/{given['run']}")
        assert json.loads(shown.contents[0].text)["state"] == "succeeded"  # type: ignore[union-attr]
        with pytest.raises(MCPError):
            await client.read_resource("millwright://secrets/x")
