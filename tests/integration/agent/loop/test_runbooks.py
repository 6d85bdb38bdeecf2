"""A search of the runbooks that takes its time, as the first one does, keeps nothing else of the worker waiting."""

import asyncio
import threading
from pathlib import Path

import pytest

from appliance.agent.knowledge import services
from appliance.lib.in_django import in_django
from tests.integration.agent.loop.conftest import Agent
from tests.scripted_model import end, turn
from tests.wait import wait_for_async

FIND = ("knowledge.search", {"question": "restart the pump"})


async def test_rows_are_read_while_the_runbooks_are(
    agent: Agent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "runbooks"
    root.mkdir()
    (root / "pumps.md").write_text("# Pumps\n\n## Restart\n\nPress the green button.\n")
    searched = threading.Event()

    def folder(home: object = None) -> Path:
        searched.set()
        return root

    index = services._index(root)
    monkeypatch.setattr(services, "folder", folder)
    agent.says(turn(FIND), end("The green one."))
    run_id = await agent.ask(tools="[knowledge.search]", mode="watch")
    with index._lock:
        work = asyncio.create_task(agent.go_on(run_id))
        await wait_for_async(searched.is_set, 15)
        assert await asyncio.wait_for(in_django(lambda: 7), 5) == 7
        assert not work.done()
    assert (await work)["state"] == "succeeded"
    assert (await agent.row("call-1-1"))["output"][0]["file"] == "pumps.md"
