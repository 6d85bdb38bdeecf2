import asyncio
import atexit
from collections.abc import Callable
from typing import Any

import pytest

from appliance.events import hints
from appliance.events.hints import GROUP, Hinter
from tests.wait import wait_for_async


class Layer:
    """A channel layer that keeps what it is given, or is away."""

    def __init__(self, *, away: bool = False) -> None:
        self.sent: list[str] = []
        self.away = away
        self.asked = 0

    async def group_send(self, group: str, message: dict[str, Any]) -> None:
        self.asked += 1
        if self.away:
            raise ConnectionError("away")
        self.sent.append(group)


async def test_a_burst_gives_one_hint_now_and_one_after_its_end() -> None:
    layer = Layer()
    hinter = Hinter(interval=0.05, layer=layer)
    for _ in range(500):
        hinter.poke()
    await wait_for_async(lambda: len(layer.sent) == 2)
    await hinter.close()
    assert layer.sent == [GROUP, GROUP]


async def test_a_poke_after_the_interval_is_sent_at_once() -> None:
    layer = Layer()
    hinter = Hinter(interval=0.0, layer=layer)
    hinter.poke()
    await wait_for_async(lambda: len(layer.sent) == 1)
    hinter.poke()
    await wait_for_async(lambda: len(layer.sent) == 2)
    await hinter.close()


async def test_a_layer_that_is_away_never_reaches_the_caller_and_is_tried_again() -> None:
    layer = Layer(away=True)
    hinter = Hinter(interval=0.0, layer=layer)
    hinter.poke()
    await wait_for_async(lambda: layer.asked == 1)
    layer.away = False
    hinter.poke()
    await wait_for_async(lambda: layer.sent == [GROUP])
    await hinter.close()


async def test_a_layer_that_hangs_does_not_pile_up_messages() -> None:
    started = 0
    release = asyncio.Event()

    class Hanging(Layer):
        async def group_send(self, group: str, message: dict[str, Any]) -> None:
            nonlocal started
            started += 1
            await release.wait()

    hinter = Hinter(layer=Hanging())
    for _ in range(1000):
        hinter.broadcast("g", {"type": "x"})
    await wait_for_async(lambda: started > 0)
    assert started <= 64
    release.set()
    await hinter.close()


def test_the_thread_has_ended_before_the_interpreter_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    farewells: list[Callable[[], None]] = []
    monkeypatch.setattr(atexit, "register", farewells.append)
    background = hints._Background()
    assert background.thread.is_alive()
    for farewell in farewells:
        farewell()
    assert not background.thread.is_alive()
    background.loop.close()
