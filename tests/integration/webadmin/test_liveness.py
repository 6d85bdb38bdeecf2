"""A platform that stops answering is red within two minutes, wherever somebody looks: one test for each place."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.test import Client

from appliance.accounts.domain import Ability, Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX, CONSOLE
from appliance.accounts.tokens import issue_api_token
from appliance.bridges.commands import parse_command
from appliance.bridges.health import HealthKeeper
from appliance.bridges.liveness import UNASKED, liveness
from appliance.bridges.models import Platform
from appliance.bridges.ports import ChatSender, Probe, ProbeState
from appliance.bridges.services import save_platform
from appliance.bridges.telegram.bridge import TelegramBridge
from appliance.lib.clock import ManualClock
from appliance.lib.config import get_config
from appliance.lib.doctor import Outcome, Patient
from appliance.outbox.ports import OutboxItem
from appliance.outbox.services import enqueue_now
from appliance.processes.chat import ChatCommands
from appliance.processes.events_out import EventsOut
from appliance.processes.management.commands.status import Command as StatusCommand
from appliance.processes.manager import Part
from tests.chat_desk import context, idle_pool, open_pool
from tests.standins.telegram import TOKEN, TelegramStandin

pytestmark = pytest.mark.django_db(transaction=True)
Browsers = Callable[[Role], Client]
TICK = 15.0


class Slow(TelegramBridge):
    """It needs all the time that a probe has before it is known to be silent."""

    def __init__(self, api: str, clock: ManualClock) -> None:
        super().__init__(
            context(
                "telegram",
                pool=idle_pool(),
                config={"auth": "T"},
                secrets={"T": TOKEN},
                telegram_api=api,
            )
        )
        self._clock = clock

    async def probe(self) -> Probe:
        found = await super().probe()
        if found.state is ProbeState.AWAY:
            self._clock.advance(timedelta(seconds=20))
        return found


class Messenger:
    """Telegram with the box's keeper of its health. Two minutes pass, and end now."""

    def __init__(self, standin: TelegramStandin) -> None:
        self.standin = standin
        self.published: list[tuple[str, dict[str, Any]]] = []

    def answers(self) -> None:
        asyncio.run(self._live(falls_silent=False))

    def falls_silent(self) -> None:
        """Just after it was asked: it could not be noticed later."""
        asyncio.run(self._live(falls_silent=True))

    async def publish(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, timeout: float = 10.0
    ) -> None:
        self.published.append((topic, json.loads(payload)))

    async def _live(self, *, falls_silent: bool) -> None:
        clock = ManualClock(datetime.now(UTC) - timedelta(minutes=2))
        bridge = Slow(self.standin.root, clock)
        async with open_pool() as pool:
            out = EventsOut(pool, self, "b", clock)
            await out.follow()
            keeper = HealthKeeper(pool, clock, lambda: {"telegram": bridge})
            await asyncio.gather(*keeper.look())
            if falls_silent:
                self.standin.fail("getMe", 502, times=100)
            while clock.monotonic() + TICK <= 120:
                clock.advance(timedelta(seconds=TICK - clock.monotonic() % TICK))
                await asyncio.gather(*keeper.look())
            await out.follow()
        await bridge.stop()


@pytest.fixture
def telegram() -> Iterator[Messenger]:
    save_platform({"name": "telegram", "auth": TOKEN, "chat_id": 5}, CONSOLE, datetime.now(UTC))
    enqueue_now(OutboxItem("k/1", "telegram", {"text": "hi"}, at=datetime.now(UTC)))
    with TelegramStandin() as standin:
        yield Messenger(standin)


def html(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_on_the_overview(telegram: Messenger, browser: Browsers) -> None:
    telegram.answers()
    client = browser(Role.VIEWER)
    assert '<span class="part-name">telegram</span> <span class="badge ok">connected</span>' in html(
        client, "/"
    )
    telegram.falls_silent()
    page = html(client, "/")
    assert '<span class="part-name">telegram</span> <span class="badge bad">deaf</span>' in page
    assert "Telegram" in page.partition('class="part-why"')[2]


def test_in_the_banner_and_the_navigation_of_every_page(telegram: Messenger, browser: Browsers) -> None:
    telegram.answers()
    client = browser(Role.VIEWER)
    assert 'class="deaf-banner"' not in html(client, "/runs/")
    telegram.falls_silent()
    page = html(client, "/runs/")
    assert '<div class="deaf-banner" role="alert">' in page
    assert "telegram is deaf" in page
    assert '<span>Platforms</span> <b class="count">1</b>' in page


def test_on_the_platforms_page(telegram: Messenger, browser: Browsers) -> None:
    telegram.falls_silent()
    assert '<span class="badge bad">deaf</span> <p class="quiet">fell silent' in html(
        browser(Role.VIEWER), "/platforms/"
    )


def test_at_readyz_which_stays_as_ready_as_it_was(telegram: Messenger) -> None:
    telegram.answers()
    before = Client().get("/readyz")
    assert before.json()["platforms"] == {"telegram": {"hears": True, "deaf_since": None}}
    telegram.falls_silent()
    after = Client().get("/readyz")
    assert after.json()["platforms"]["telegram"]["hears"] is False
    assert after.json()["platforms"]["telegram"]["deaf_since"]
    assert (after.status_code, after.json()["ready"]) == (before.status_code, before.json()["ready"])


def test_in_the_metrics(telegram: Messenger) -> None:
    telegram.answers()
    lines = figures()
    assert lines['millwright_platform_up{platform="telegram"}'] == 1
    assert lines['millwright_platform_deaf_seconds{platform="telegram"}'] == 0
    trip = lines['millwright_platform_round_trip_ms{platform="telegram"}']
    assert trip > 0
    telegram.falls_silent()
    lines = figures()
    assert lines['millwright_platform_up{platform="telegram"}'] == 0
    assert 25 <= lines['millwright_platform_deaf_seconds{platform="telegram"}'] <= 120
    assert lines['millwright_platform_round_trip_ms{platform="telegram"}'] > 0, "of the last that came back"
    assert lines['millwright_outbox_waiting{platform="telegram"}'] == 1
    assert lines['millwright_outbox_oldest_seconds{platform="telegram"}'] >= 0
    assert lines['millwright_outbox_postponed{platform="telegram"}'] == 0


def figures() -> dict[str, float]:
    text = Client().get("/metrics").content.decode()
    found = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in found}


def test_for_the_doctor_who_says_what_to_do(telegram: Messenger) -> None:
    from appliance.bridges.checks import CHECKS

    [check] = CHECKS
    telegram.answers()
    assert check.look(Patient(get_config(), datetime.now(UTC))).outcome is Outcome.GOOD
    telegram.falls_silent()
    found = check.look(Patient(get_config(), datetime.now(UTC)))
    assert found.outcome is Outcome.PROBLEM
    assert found.said.startswith("telegram since ")
    assert "platforms test" in check.fix


def test_in_chat_on_another_platform(telegram: Messenger) -> None:
    telegram.answers()
    ann = User.objects.create_user("ann", password="x" * 12, role=Role.OPERATOR)
    command = parse_command("status", key="k", received_at=datetime.now(UTC))
    sender = ChatSender(ann.pk, "ann", "slack", "7", "7")
    assert "telegram" not in ChatCommands()._answer(command, sender)
    telegram.falls_silent()
    assert "DEAF: telegram, since " in ChatCommands()._answer(command, sender)


def test_at_the_console(telegram: Messenger) -> None:
    telegram.answers()
    assert "ok" in console()[0]
    telegram.falls_silent()
    table, known = console()
    assert "telegram   DEAF       since " in table
    [one] = known["platforms"]
    assert (one["name"], one["hears"], one["messages_waiting"]) == ("telegram", False, 1)


def console() -> tuple[str, Any]:
    """What ``manage.py status`` says of a box that runs: for people, and for scripts."""
    parts = [Part("web", "running", 1, 60, "")]
    said, known = StringIO(), StringIO()
    StatusCommand(stdout=said)._write_table(get_config(), parts)
    StatusCommand(stdout=known)._write_json(get_config(), parts)
    return said.getvalue(), json.loads(known.getvalue())


def test_on_mqtt(telegram: Messenger) -> None:
    telegram.falls_silent()
    assert [topic for topic, _ in telegram.published] == ["millwright/b/events/platform.deaf"]
    telegram.standin.mend()
    telegram.answers()
    assert [topic for topic, _ in telegram.published][1:] == ["millwright/b/events/platform.back"]


def test_for_programs(telegram: Messenger, person: Callable[[Role], User]) -> None:
    token = issue_api_token(person(Role.VIEWER), "all", [Ability.VIEW], BOX, datetime.now(UTC))
    client = Client(headers={"Authorization": f"Bearer {token}"})
    telegram.answers()
    [one] = client.get("/api/v1/status").json()["platforms"]
    assert (one["hears"], one["state"], one["deaf_since"]) == (True, "ok", None)
    telegram.falls_silent()
    [one] = client.get("/api/v1/status").json()["platforms"]
    assert (one["hears"], one["state"], one["messages_waiting"]) == (False, "away", 1)
    assert one["round_trip_ms"] > 0


# --- what is deaf ---------------------------------------------------------------------------------


def test_one_whose_token_is_revoked_is_deaf_and_one_that_was_never_right_is_not(telegram: Messenger) -> None:
    telegram.standin.fail("getMe", 401, "Unauthorized", times=100)
    telegram.answers()
    [one] = liveness(datetime.now(UTC))
    assert (one.is_deaf, one.state) == (False, ProbeState.WAITING)
    telegram.standin.mend()
    telegram.answers()
    telegram.standin.fail("getMe", 401, "Unauthorized", times=100)
    telegram.answers()
    [one] = liveness(datetime.now(UTC))
    assert (one.is_deaf, one.message) == (True, "Telegram refuses the token")


def test_one_that_nobody_asks_any_more_is_deaf_and_one_that_is_switched_off_is_not(
    telegram: Messenger,
) -> None:
    telegram.answers()
    later = datetime.now(UTC) + timedelta(seconds=100)
    [one] = liveness(later)
    assert (one.is_deaf, one.message) == (True, UNASKED)
    Platform.objects.update(enabled=False)
    assert liveness(later) == []
