"""A question to a real model, from the keeper to the last token."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from appliance.inference.asking import Asker, Question
from appliance.inference.backends.llamacpp.backend import LlamaCpp
from appliance.inference.client import KeeperClient
from appliance.inference.domain import EngineKind
from appliance.inference.errors import ModelAnswerBad, ModelUnavailable
from appliance.inference.hardware.domain import Hardware, Processor
from appliance.inference.leases import Wish
from appliance.inference.scheduling.completing import Completion
from appliance.inference.scheduling.keeper import Keeper
from appliance.inference.scheduling.server import KeeperServer
from appliance.lib.clock import SystemClock
from appliance.lib.jsontypes import JsonObject
from tests.engine_room import Records, Shelf
from tests.served_models import tiny_served
from tests.wait import wait_for_async

pytestmark = pytest.mark.asyncio
WISH = Wish(model="tiny", principal="user:ana")
SCHEMA: JsonObject = {
    "type": "object",
    "properties": {"on": {"type": "boolean"}, "level": {"enum": ["low", "high"]}},
    "required": ["on", "level"],
    "additionalProperties": False,
}


@asynccontextmanager
async def asker(llamacpp: LlamaCpp, folder: Path) -> AsyncIterator[Asker]:
    backends = {EngineKind.LLAMACPP: llamacpp}
    trial = Completion(backends)

    async def hardware() -> Hardware:
        return Hardware(Processor("cpu", 2), 16 << 30, 12 << 30)

    served = tiny_served(folder / "models")
    keeper = Keeper(Shelf([served]), Records(), backends, hardware, trial, SystemClock())
    socket = folder / "keeper.sock"
    tasks = [asyncio.create_task(keeper.run()), asyncio.create_task(KeeperServer(keeper, socket).serve())]
    await wait_for_async(socket.exists)
    yield Asker(KeeperClient(socket))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await trial.close()


async def test_an_answer_comes_piece_by_piece_and_under_a_schema_it_fits(
    llamacpp: LlamaCpp, place: Path
) -> None:
    async with asker(llamacpp, place / "asking") as one:
        heard: list[str] = []
        reply = await one.ask(Question((("user", "hi"),), max_tokens=8, temperature=0), WISH, heard.append)
        assert "".join(heard) == reply.text
        assert reply.generated_tokens > 0
        assert reply.chosen.model == "tiny"

        fitting = await one.ask(Question((("user", "on?"),), SCHEMA, max_tokens=400, temperature=0), WISH)
        assert isinstance(fitting.value, dict)
        assert fitting.value["level"] in ("low", "high")

        with pytest.raises(ModelAnswerBad, match="cut after 3 tokens"):
            await one.ask(Question((("user", "on?"),), SCHEMA, max_tokens=3), WISH)
        with pytest.raises(ModelUnavailable, match="takes 1024"):
            await one.ask(Question((("user", "x" * 5000),)), WISH)
