"""The chat measurement: what it gives to the box is understood, and its platforms answer as the bridge expects."""

import asyncio
import json
import time

import pytest

from appliance.bridges.platforms import parse_platforms
from appliance.bridges.ports import ProbeState
from appliance.bridges.telegram.bridge import TelegramBridge
from appliance.processes.bench import chat
from appliance.processes.bench.chat_platform import ChatPlatform
from appliance.tasks.loader import load_text
from tests.chat_desk import chat_message, context, idle_pool


def test_its_platforms_and_tasks_are_those_of_a_box() -> None:
    entries = parse_platforms(json.dumps(chat.platforms_at("http://127.0.0.1:9")), "bench.json")
    assert [entry.name for entry in entries] == list(chat.PLATFORMS)
    assert len(load_text(chat.tasks(), "bench.yaml")) == len(chat.PLATFORMS)
    assert {entry.factory.kind for entry in entries} == {"telegram"}


async def test_its_platform_takes_messages_counts_their_time_and_hangs_when_told() -> None:
    with ChatPlatform() as platform:
        bridges = {
            name: TelegramBridge(
                context(
                    "telegram",
                    pool=idle_pool(),
                    config={"auth": "T", "api_root": f"http://127.0.0.1:{platform.port}/{name}"},
                    secrets={"T": "1:bench"},
                )
            )
            for name in ("chat0", chat.HANGING)
        }
        assert (await bridges["chat0"].probe()).state is ProbeState.OK
        due = time.monotonic() - 0.5
        for bridge in bridges.values():
            await bridge.send_message(chat_message(f"7 {due!r}"))
        await bridges["chat0"].send_message(chat_message("5 messages, the last: 7 1.0"))
        found = platform.arrived()
        assert [(name, number) for name, number, _, _ in found] == [("chat0", 7), (chat.HANGING, 7)]
        assert all(500 <= late < 20_000 for _, _, late, _ in found)
        platform.hang(chat.HANGING)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await bridges[chat.HANGING].send_message(chat_message(f"8 {due!r}"))
        await bridges["chat0"].send_message(chat_message(f"8 {due!r}"))
        assert len(platform.arrived()) == 4
        for bridge in bridges.values():
            await bridge.stop()
