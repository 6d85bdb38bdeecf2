"""A server of tools that is a command: the official SDK's, in the real sandbox of a real spawner."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.agent.errors import McpAway, McpRefused, McpUnclear
from appliance.agent.mcp.client.domain import ServerSpec
from appliance.agent.mcp.client.over_pipes import OverPipes
from appliance.agent.mcp.client.talking import Wanted
from appliance.lib.config import ROOT
from appliance.lib.jsontypes import JsonObject
from appliance.sandbox.process.client import ProcessSandbox
from tests.spawner import RunningSpawner, start_spawner
from tests.wait import wait_for_async

SCRIPT = ROOT / "tests/standins/mcp_official.py"
PYTHON = Path(sys.executable)


@pytest.fixture(scope="module")
def spawner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSpawner]:
    running = start_spawner(tmp_path_factory.mktemp("spawner"))
    yield running
    running.stop()
    running.forget()


def talk(spawner: RunningSpawner, *words: str, env: str = "") -> OverPipes:
    reads = (str(PYTHON.parent.parent.resolve()), str(PYTHON.parent.parent), str(SCRIPT.parent))
    command = (str(PYTHON), "-I", str(SCRIPT), "stdio", *words)
    spec = ServerSpec("store", command=command, reads=reads, env=env, secret="secret:X" if env else "")
    return OverPipes(spec.checked(), spawner.sandbox.run)


async def digest(spawner: RunningSpawner, name: str) -> str:
    seen = await talk(spawner)("", None, 30)
    (found,) = [one.digest for one in seen.tools if one.name == name]
    return found


async def test_a_command_is_looked_at_and_called(spawner: RunningSpawner) -> None:
    wanted = Wanted("find", {"part": "P7"}, await digest(spawner, "find"))
    talked = await talk(spawner)("", wanted, 30)
    assert talked.answer is not None
    assert talked.answer.output in ("P7: 12 in shelf B", {"result": "P7: 12 in shelf B"})
    await wait_for_async(lambda: not spawner.work_folders, 10, what="nothing of it is left")


async def test_its_secret_is_in_its_variable_and_the_boxs_own_are_nowhere(spawner: RunningSpawner) -> None:
    wanted = Wanted("token", {}, await digest(spawner, "token"))
    talked = await talk(spawner, env="STORE_TOKEN")("sesame-sesame", wanted, 30)
    assert talked.answer is not None
    assert "sesame-sesame" in str(talked.answer.output)


async def test_it_is_confined_it_sees_none_of_the_boxs_files_and_settings_and_writes_nowhere_else(
    spawner: RunningSpawner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = spawner.home / "of-the-box.txt"
    secret.write_text("root-key")
    monkeypatch.setenv("MILLWRIGHT_SOMETHING", "x")
    given: JsonObject = {"file": str(secret), "folder": str(tmp_path)}
    talked = await talk(spawner)("", Wanted("look_around", given, await digest(spawner, "look_around")), 30)
    assert talked.answer is not None
    said = str(talked.answer.output)
    assert "no read: " in said
    assert "root-key" not in said
    assert "no write: " in said
    assert list(tmp_path.iterdir()) == []
    assert "MILLWRIGHT" not in said


async def test_another_tool_than_the_one_that_was_allowed_is_not_called(spawner: RunningSpawner) -> None:
    talked = await talk(spawner)("", Wanted("find", {"part": "P7"}, "0" * 64), 30)
    assert talked.answer is None
    assert {one.name for one in talked.tools} == {"find", "token", "look_around", "misbehave"}


@pytest.mark.parametrize(
    ("how", "said"),
    [
        pytest.param("hang", "did not answer in time", marks=pytest.mark.slow),
        ("flood", "more than is taken"),
        ("die", "has ended"),
    ],
)
async def test_a_command_that_misbehaves_in_a_call_leaves_it_unclear(
    spawner: RunningSpawner, how: str, said: str
) -> None:
    wanted = Wanted("misbehave", {}, await digest(spawner, "misbehave"))
    with pytest.raises(McpUnclear, match=said):
        await talk(spawner, how)("", wanted, 20 if how == "hang" else 60)


async def test_a_command_that_is_none_or_no_server_says_so(spawner: RunningSpawner) -> None:
    for command in (("/no/such/server",), ("/bin/echo", "hello"), ("/bin/true",)):
        with pytest.raises(McpRefused):
            await OverPipes(ServerSpec("x", command=command), spawner.sandbox.run)("", None, 10)


async def test_without_a_sandbox_nothing_is_started(tmp_path: Path) -> None:
    away = ProcessSandbox(tmp_path / "none.sock")
    with pytest.raises(McpAway):
        await OverPipes(ServerSpec("x", command=("/bin/true",)), away.run)("", None, 5)
