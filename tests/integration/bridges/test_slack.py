"""Slack against its stand-in: the connection that the box keeps, its tokens, its files, and what Slack refuses."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from appliance.accounts.principal import CONSOLE
from appliance.bridges import services
from appliance.bridges.messages import Attachment, Button, RawEvent
from appliance.bridges.models import Inbound
from appliance.bridges.ports import ProbeState
from appliance.bridges.slack.bridge import ONLY_SPEAKS, OTHER_TEAM, SlackBridge
from appliance.bridges.webhooks import receive_webhook
from appliance.lib.clock import SystemClock
from appliance.outbox.errors import DeliveryDeferred, DeliveryRefused, NotReady, PlatformAway
from tests.chat_desk import MemoryInbox, chat_message, context, idle_pool
from tests.standins.slack import APP, BOT, SlackStandin
from tests.standins.slack_payloads import DIRECT, SIGNING, signed
from tests.standins.socks import SocksProxy
from tests.wait import wait_for_async

Make = Callable[..., SlackBridge]
LOG = Attachment("log.txt", "text/plain", b"ERROR\n")


@pytest.fixture
def slack() -> Iterator[SlackStandin]:
    with SlackStandin() as standin:
        yield standin


@pytest.fixture
async def make(slack: SlackStandin) -> AsyncIterator[Make]:
    made: list[SlackBridge] = []

    def build(inbox: MemoryInbox | None = None, **more: Any) -> SlackBridge:
        proxy = more.get("proxy")
        secrets = {"BOT": BOT, "APP": APP, **({proxy: proxy} if proxy else {})}
        config = {"auth": "BOT", "app_token": "APP", "api_root": slack.api, **more}
        bridge = SlackBridge(
            context("slack", pool=idle_pool(), config=config, secrets=secrets, inbox=inbox), part_pause=0
        )
        made.append(bridge)
        return bridge

    yield build
    for bridge in made:
        await bridge.stop()


async def connected(slack: SlackStandin, bridge: SlackBridge, times: int = 1) -> None:
    await bridge.start()
    await wait_for_async(lambda: slack.connections >= times)


# --- in ---------------------------------------------------------------------------------------------


async def test_an_event_is_acknowledged_only_after_it_is_kept(slack: SlackStandin, make: Make) -> None:
    class Slow(MemoryInbox):
        async def receive(self, events: Sequence[RawEvent], cursor: str | None = None) -> int:
            await asyncio.sleep(0.1)
            assert slack.acknowledged == [], "acknowledged before it was kept"
            return await super().receive(events, cursor)

    inbox = Slow()
    bridge = make(inbox)
    await connected(slack, bridge)
    envelope = slack.tell(slack.said("status"))
    await wait_for_async(lambda: slack.acknowledged == [envelope])
    [message] = await bridge.handle_event(inbox.events[0].payload)
    assert (message.text, message.user_id, message.conversation) == ("status", "U7", DIRECT)


async def test_what_could_not_be_kept_comes_again_and_is_kept_once(slack: SlackStandin, make: Make) -> None:
    class Failing(MemoryInbox):
        failures = 1

        async def receive(self, events: Sequence[RawEvent], cursor: str | None = None) -> int:
            new = await super().receive(events, cursor)
            if self.failures:
                self.failures -= 1
                raise OSError("the answer of the database was lost")
            return new

    inbox = Failing()
    await connected(slack, make(inbox))
    envelope = slack.tell(slack.said("run pump"))
    await wait_for_async(lambda: slack.acknowledged == [envelope])
    assert slack.connections == 2
    assert len(inbox.events) == 1


@pytest.mark.parametrize("end", ["hang_up", "refresh_requested", "warning"])
async def test_a_connection_that_ends_comes_back(slack: SlackStandin, make: Make, end: str) -> None:
    inbox = MemoryInbox()
    bridge = make(inbox)
    await connected(slack, bridge)
    if end == "hang_up":
        slack.hang_up()
    else:
        slack.farewell(end)
    await wait_for_async(lambda: slack.connections == 2)
    slack.tell(slack.said("status"))
    await wait_for_async(lambda: inbox.events)
    assert len(slack.asked("apps.connections.open")) == 2, "each address is good for one connection"


async def test_presses_are_kept_and_what_nobody_said_to_the_box_is_only_acknowledged(
    slack: SlackStandin, make: Make
) -> None:
    inbox = MemoryInbox()
    await connected(slack, make(inbox))
    quiet = [
        slack.tell(slack.said("my own words", bot_id="BBOT")),
        slack.tell(slack.said("lunch?", channel="C123", type="message")),
    ]
    press = slack.tell(slack.pressed("w0rd"))
    await wait_for_async(lambda: len(slack.acknowledged) == 3)
    assert set(slack.acknowledged) == {*quiet, press}
    assert [event.event_id.split("/")[0] for event in inbox.events] == ["press"]


async def test_another_workspace_is_not_listened_to(slack: SlackStandin, make: Make) -> None:
    inbox = MemoryInbox()
    bridge = make(inbox, team="T0THER")
    await connected(slack, bridge)
    slack.tell(slack.said("stop"))
    await wait_for_async(lambda: slack.acknowledged)
    assert inbox.events == []
    probe = await bridge.probe()
    assert (probe.state, probe.message) == (ProbeState.WAITING, OTHER_TEAM)


async def test_a_refused_app_token_is_said_by_the_probe(slack: SlackStandin, make: Make) -> None:
    slack.app_token = "xapp-revoked"
    bridge = make()
    await bridge.start()

    async def said() -> bool:
        probe = await bridge.probe()
        return probe.state is ProbeState.WAITING and "app-level token" in probe.message

    await wait_for_async(said)


async def test_socket_mode_that_is_switched_off_waits_for_a_person(slack: SlackStandin, make: Make) -> None:
    bridge = make()
    await connected(slack, bridge)
    slack.farewell("link_disabled")

    async def said() -> bool:
        probe = await bridge.probe()
        return probe.state is ProbeState.WAITING and "switched off" in probe.message

    await wait_for_async(said)


async def test_without_a_way_in_the_probe_says_that_it_only_speaks(slack: SlackStandin, make: Make) -> None:
    bridge = make(app_token=None)
    await bridge.start()
    probe = await bridge.probe()
    assert (probe.state, probe.message, probe.identity) == (
        ProbeState.OK,
        ONLY_SPEAKS,
        "@millwright (The Works)",
    )
    assert slack.asked("apps.connections.open") == []


async def test_everything_goes_through_its_proxy(slack: SlackStandin, make: Make) -> None:
    inbox = MemoryInbox()
    with SocksProxy("me", "hush-hush") as proxy:
        bridge = make(inbox, proxy=proxy.url("socks5h"))
        await connected(slack, bridge)
        await bridge.send_message(chat_message("see", conversation="C123", attachments=(LOG,)))
        slack.tell(slack.said("status"))
        await wait_for_async(lambda: inbox.events)
        ports = {port for _, port in proxy.asked}
        assert ports == {int(root.rpartition(":")[2]) for root in (slack.root, slack.socket_root)}
        await bridge.stop()
    assert slack.files == [("log.txt", b"ERROR\n")]


def test_a_call_that_slack_repeats_is_kept_once(clean: None, tmp_path: Path, slack: SlackStandin) -> None:
    keys = {"name": "slack", "auth": "BOT", "webhook": "https://box.example/slack", "signing_secret": "SIGN"}
    file = tmp_path / "platforms.json"
    file.write_text(json.dumps({"platforms": [keys]}))
    variables = {"BOT": BOT, "SIGN": SIGNING}
    services.load_platforms(file, CONSOLE, SystemClock().now(), variables.get)
    event, press = slack.said("run pump"), slack.pressed("w0rd")

    def given(payload: dict[str, Any], **more: str) -> int:
        headers, body = signed(payload)
        now = SystemClock().now()
        return receive_webhook("POST", "/slack", {**headers, **more}, body, now, lookup=variables.get).status

    repeat = {"X-Slack-Retry-Num": "1", "X-Slack-Retry-Reason": "http_timeout"}
    assert [given(event), given(event, **repeat), given(press), given(press, **repeat)] == [200] * 4
    assert given(slack.said("status", bot_id="BBOT")) == 200
    names = {event["event_id"], f"press/{DIRECT}/1699000000.000009/{press['actions'][0]['action_ts']}/U7"}
    assert {row.event_id for row in Inbound.objects.all()} == names
    assert Inbound.objects.count() == 2


# --- out --------------------------------------------------------------------------------------------


async def test_threads_buttons_and_files_arrive_where_they_belong(slack: SlackStandin, make: Make) -> None:
    thread = "1699000000.000777"
    message = chat_message(
        "?", conversation=f"C123/{thread}", buttons=(Button("Yes", "w1"),), attachments=(LOG,)
    )
    receipt = await make().send_message(message)
    assert (slack.sent[0]["channel"], slack.sent[0]["thread_ts"]) == ("C123", thread)
    assert (slack.shared[0]["channel"], slack.shared[0]["thread_ts"]) == ("C123", thread)
    assert receipt.message_ids[0] == f"C123/{slack.sent[0]['ts']}"
    assert slack.alive == []


async def test_a_person_is_written_to_and_what_was_said_to_them_can_be_edited(
    slack: SlackStandin, make: Make
) -> None:
    bridge = make()
    receipt = await bridge.send_message(chat_message("3 alarms", conversation="U7"))
    assert receipt.message_ids == (f"{DIRECT}/{slack.sent[0]['ts']}",)
    buttons = (Button("Yes", "w1"),)
    edit = chat_message("4 alarms", conversation="U7", replaces=receipt.message_ids, buttons=buttons)
    assert (await bridge.send_message(edit)).message_ids == receipt.message_ids
    assert slack.texts == ["4 alarms"]
    await bridge.send_message(chat_message("", conversation="U7", attachments=(LOG,)))
    assert slack.shared[0]["channel"] == DIRECT


async def test_what_cannot_be_edited_is_refused_so_that_it_is_sent_anew(
    slack: SlackStandin, make: Make
) -> None:
    bridge = make()
    for replaced in (("C123/1699000000.999999",), ("F00000001",), ("-",)):
        with pytest.raises(DeliveryRefused):
            await bridge.send_message(chat_message("x", conversation="C123", replaces=replaced))
    long = chat_message("x " * 4000, conversation="C123", replaces=("C123/1699000000.000001",))
    with pytest.raises(DeliveryRefused, match="too long"):
        await bridge.send_message(long)


async def test_a_channel_that_is_not_there_says_what_to_do(slack: SlackStandin, make: Make) -> None:
    slack.archived = {"G7"}
    bridge = make()
    for channel, word in (("C0", "channel_not_found"), ("C9", "not_in_channel"), ("G7", "is_archived")):
        with pytest.raises(DeliveryRefused, match=word) as refused:
            await bridge.send_message(chat_message("hi", conversation=channel))
        assert refused.value.hint


async def test_one_message_a_second_in_a_channel(slack: SlackStandin, make: Make) -> None:
    slack.paced = True
    bridge = make()
    with pytest.raises(DeliveryDeferred) as deferred:
        await bridge.send_message(chat_message("word " * 1000, conversation="C123"))
    assert (deferred.value.retry_after, deferred.value.parts_done) == (1.0, 1)
    assert bridge.pace("C123").interval == 1.0


@pytest.mark.parametrize("step", ["files.getUploadURLExternal", "/upload/"])
async def test_a_file_that_nobody_has_seen_was_not_sent(slack: SlackStandin, make: Make, step: str) -> None:
    bridge = make()
    message = chat_message("", conversation="C123", attachments=(LOG,))
    for status in (0, 502):
        slack.fail(step, status)
        with pytest.raises(PlatformAway) as away:
            await bridge.send_message(message)
        assert not away.value.maybe_sent
    slack.fail("files.completeUploadExternal", 0)
    with pytest.raises(PlatformAway) as away:
        await bridge.send_message(message)
    assert away.value.maybe_sent
    await bridge.send_message(message)
    assert slack.files == [("log.txt", b"ERROR\n")]


async def test_a_token_that_is_revoked_meanwhile_waits_and_works_again(
    slack: SlackStandin, make: Make
) -> None:
    bridge = make()
    await bridge.send_message(chat_message("hi", conversation="C123"))
    slack.fail("chat.postMessage", 200, {"ok": False, "error": "token_revoked"})
    with pytest.raises(NotReady, match="bot token"):
        await bridge.send_message(chat_message("hi", conversation="C123"))
    slack.fail("chat.postMessage", 200, {"ok": False, "error": f"odd {BOT}"})
    with pytest.raises(DeliveryRefused) as refused:
        await bridge.send_message(chat_message("hi", conversation="C123"))
    assert BOT not in str(refused.value)
    await bridge.send_message(chat_message("hi", conversation="C123"))


async def test_an_answer_that_is_not_slacks_may_have_been_sent(slack: SlackStandin, make: Make) -> None:
    slack.fail("chat.postMessage", 200, b"<html>Sign in to the guest network</html>")
    with pytest.raises(PlatformAway, match="not the Web API's") as away:
        await make().send_message(chat_message("hi", conversation="C123"))
    assert away.value.maybe_sent
