"""/mcp of the running web process with an independent client: the TypeScript SDK, in both of its generations.

It is fetched by its lock file when Node and a registry of packages are there; else the test is skipped, and says why.
"""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from appliance.accounts.models import User
from appliance.lib.config import ROOT, Config
from appliance.runs.models import Run
from tests.integration.runs.conftest import Engine, clean, engine, pool, silent_hints
from tests.integration.webadmin.web_process import web_process
from tests.mcp_desk import furnish, token_for
from tests.wait import wait_for_async

__all__ = ["clean", "engine", "pool", "silent_hints"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node and npm are not on this machine")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < 20:
        pytest.skip(f"Node 20 is needed; here is {version}")
    folder = tmp_path_factory.mktemp("typescript")
    for file in (ROOT / "tests/mcp_typescript").iterdir():
        shutil.copy(file, folder)
    fetched = subprocess.run(
        [npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if fetched.returncode:
        pytest.skip(f"npm ci: {fetched.stderr.strip()[-300:]}")
    return folder / "client.mjs"


@pytest.fixture(scope="module")
def place(engines: Config, django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with web_process(engines, tmp_path_factory.mktemp("web")) as place:
        yield place


@pytest.fixture
async def ann(place: str, engine: Engine) -> AsyncIterator[User]:
    yield await sync_to_async(furnish)()
    await sync_to_async(connections.close_all)()


@pytest.mark.parametrize("era", ["handshake", "alone"])
async def test_a_program_in_another_language_does_all_that_is_offered(
    program: Path, place: str, ann: User, engine: Engine, era: str
) -> None:
    token = await sync_to_async(token_for)(ann)
    process = await asyncio.create_subprocess_exec(
        "node", str(program), place, token, era, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:

        async def begun() -> bool:
            return process.returncode is not None or await Run.objects.aexists()

        await wait_for_async(begun, 30, "its run has begun")
        if process.returncode is None:
            await engine.perform((await Run.objects.alatest("id")).pk)
        out, errors = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, errors.decode()
    said = json.loads(out)
    assert {"say", "restart_pump", "runs.list"} <= {one["name"] for one in said["tools"]}
    assert "say" in said["query"]["content"][0]["text"]
    assert said["run"]["structuredContent"]["outputs"] == {"said": "from TypeScript!"}
    assert said["progress"][-1]["message"] == "succeeded"
    assert said["wrong"]["isError"] is True
    assert "there is no tool" in said["unknown"]
    assert "millwright://tasks/say" in [one["uri"] for one in said["resources"]]
    assert "Says a word" in said["text"]
