"""The measurements of models: what they count, and that the documentation names them all."""

import asyncio
import time

from appliance.inference.domain import InstanceState
from appliance.inference.scheduling.deciding import Move, decide
from appliance.lib.config import ROOT
from appliance.processes.bench import bare, scheduler, talker
from appliance.processes.bench.caller import Caller
from appliance.processes.bench.gateway import Request, overhead, streams
from appliance.processes.bench.suite import SUITE


def test_every_measurement_stands_in_the_documentation() -> None:
    page = (ROOT / "docs/performance.md").read_text()
    assert [name for name in SUITE if f"`{name}`" not in page] == []


def test_the_box_is_judged_by_what_it_adds_to_the_engine() -> None:
    rows = overhead(Request(0.5, 0.0), Request(0.9, 0.6), Request(3.6, 1.4))
    assert {row.name: row.value for row in rows} == {
        "gateway_overhead_p50_ms": 3.1,
        "gateway_server_p50_ms": 0.9,
        "gateway_processor_ms": 1.4,
        "gateway_server_processor_ms": 0.6,
    }
    assert [row.name for row in rows if row.met is False] == ["gateway_overhead_p50_ms"]
    rows = streams([0.5, 0.6, 0.7], [1.1, 1.2, 1.3], [2.0], 130.04)
    assert [(row.value, row.met) for row in rows] == [(0.6, True), (2.0, None), (130.0, True)]


def test_who_waits_on_a_full_machine_looks_at_every_model_and_waits_on() -> None:
    now = time.monotonic()
    models, line = scheduler.crowded(now), scheduler.waiting(now)
    assert len(models) == 50
    assert len(line) == 20
    for waiter in line:
        decision = decide(waiter, models, scheduler.ROOMS, now)
        assert decision.move is Move.WAIT
        alone = [name for name, one in models.items() if one.state is InstanceState.QUARANTINED]
        assert set(decision.rejected) == set(alone)


async def test_the_client_hears_whole_answers_and_every_piece() -> None:
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await talker.answer(reader, writer)
        await writer.wait_closed()
        over.set()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        place = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with Caller(place, "mw_x") as caller:
            await caller.whole()
            late = await caller.pieces(2)
        await over.wait()
        assert len(late) == 2
        assert all(0 <= one < 1000 for one in late)


async def test_what_does_nothing_reads_the_request_and_answers() -> None:
    sent: list[dict[str, object]] = []
    given = [{"type": "http.request", "body": b"", "more_body": False}]
    given.append({"type": "http.request", "body": b"{", "more_body": True})

    async def receive() -> dict[str, object]:
        return given.pop()

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    await bare.answer({}, receive, send)
    assert not given
    assert sent[-1]["body"] == bare.BODY


def test_a_decision_is_measured_without_a_box() -> None:
    rows = {row.name: row for row in scheduler.measured(rounds=2)}
    assert list(rows) == ["scheduler_decide_us", "scheduler_look_us"]
    assert all(row.value for row in rows.values())
    assert rows["scheduler_decide_us"].bar == 1000
