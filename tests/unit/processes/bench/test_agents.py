"""The measurement of agents: what counts as the box's own time, and a model server that plays its part."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import httpx
import jsonschema
import pytest

from appliance.inference.acceptance.conformance import CASES, schema_of
from appliance.processes.bench.agents import gaps, rows
from appliance.processes.bench.player import Asked, Part, Player, fitting
from appliance.processes.bench.stage import end, turn


def test_the_models_own_time_is_not_the_boxs() -> None:
    asked = [Asked("a", 1, 10.0, 12.0), Asked("a", 2, 12.01, 17.0), Asked("a", 3, 17.03, 20.0)]
    assert [round(gap, 6) for gap in gaps(asked)] == [5.0, 15.0], "for each of two steps"


def test_each_figure_is_held_against_its_bar() -> None:
    found = {
        row.name: (row.value, row.met)
        for row in rows([4.0, 5.0, 11.0], 3.456, [12.0], 6.0, 8.0, [90.0, 1200.0])
    }
    assert found == {
        "agent_step_overhead_p50_ms": (5.0, True),
        "agent_step_overhead_p95_ms": (11.0, None),
        "agent_step_processor_ms": (3.46, None),
        "agent_step_overhead_100_p50_ms": (12.0, False),
        "agent_20_conversations_ratio": (15.0, True),
        "agent_stop_ms": (1200.0, False),
    }


@pytest.mark.parametrize("names", [names for _, names in CASES])
def test_an_answer_of_no_part_fits_what_was_asked_for(names: tuple[str, ...]) -> None:
    schema = schema_of(names)
    assert jsonschema.Draft202012Validator(schema).is_valid(fitting(schema))


@asynccontextmanager
async def playing() -> AsyncIterator[httpx.AsyncClient]:
    player = Player()
    server = await asyncio.start_server(player.attend, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            yield client
        while player.connections:
            await asyncio.sleep(0)


def question(*turns: str, word: str = "Case 7.") -> dict[str, Any]:
    messages = [{"role": "user", "content": f"The goal:\n{word}"}]
    for said in turns:
        messages += [{"role": "assistant", "content": said}, {"role": "user", "content": "1. done"}]
    return {"model": "played", "messages": messages, "stream": True}


async def said(client: httpx.AsyncClient, body: dict[str, Any]) -> str:
    text = (await client.post("/v1/chat/completions", json=body)).text
    chunks = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    return "".join(one["delta"].get("content", "") for chunk in chunks for one in chunk["choices"])


def test_who_asks_the_same_turn_again_is_answered_the_same() -> None:
    async def converse() -> None:
        async with playing() as client:
            lines = [turn(("readings.last", {"topic": "a"})), end("Done.")]
            await client.put("/play", json=asdict(Part("Case 7.", lines, pieces=3)))
            for _ in range(2):
                assert json.loads(await said(client, question())) == lines[0]
            assert json.loads(await said(client, question("x"))) == lines[1]
            assert "millwright" in await said(client, question(word="Case 8."))
            whole = await client.post("/v1/chat/completions", json={**question(), "stream": False})
            assert "millwright" in whole.json()["choices"][0]["message"]["content"]
            asked = [Asked(**one) for one in (await client.get("/asked")).json()]
            assert [(one.word, one.turn, one.pieces, one.left) for one in asked] == [
                ("Case 7.", 1, 3, False),
                ("Case 7.", 1, 3, False),
                ("Case 7.", 2, 3, False),
            ]

    asyncio.run(converse())


def test_who_hangs_up_is_seen_to() -> None:
    async def hang_up() -> None:
        async with playing() as client:
            part = Part("Case 7.", [end("word " * 100)], pieces=100, pace=60)
            await client.put("/play", json=asdict(part))
            with contextlib.suppress(httpx.ReadTimeout):
                await client.post("/v1/chat/completions", json=question(), timeout=0.3)
            async with asyncio.timeout(10):
                while not (asked := (await client.get("/asked")).json())[0]["ended"]:
                    await asyncio.sleep(0)
            assert asked[0]["left"]

    asyncio.run(hang_up())
