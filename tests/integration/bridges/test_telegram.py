"""Telegram against the stand-in: what is sent, what comes in, and that the token stays inside."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from appliance.bridges.messages import Button, RawEvent
from appliance.bridges.ports import ProbeState
from appliance.bridges.telegram import receiving
from appliance.bridges.telegram.bridge import TelegramBridge
from appliance.lib.masking import MASK
from appliance.outbox.errors import DeliveryDeferred, DeliveryRefused, NotReady, PlatformAway
from tests.chat_desk import WEBHOOK_SECRET, MemoryInbox, chat_message, context, idle_pool
from tests.standins.telegram import TOKEN, TelegramStandin
from tests.wait import wait_for_async

Make = Callable[..., TelegramBridge]
CALLS = "sendMessage"


@pytest.fixture
def telegram() -> Iterator[TelegramStandin]:
    with TelegramStandin() as standin:
        yield standin


@pytest.fixture
async def make(telegram: TelegramStandin) -> AsyncIterator[Make]:
    made: list[TelegramBridge] = []

    def build(**more: Any) -> TelegramBridge:
        inbox = more.pop("inbox", None)
        token = more.pop("token", TOKEN)
        api = more.pop("api", telegram.root)
        proxy = more.get("proxy")
        config = {"auth": "BOT_TOKEN", "message_parser": "markdown_v2", **more}
        secrets = {"BOT_TOKEN": token, **({proxy: proxy} if proxy else {})}
        bridge = TelegramBridge(
            context(
                "telegram", pool=idle_pool(), config=config, secrets=secrets, inbox=inbox, telegram_api=api
            ),
            part_pause=0,
        )
        made.append(bridge)
        return bridge

    yield build
    for bridge in made:
        await bridge.stop()


# --- out --------------------------------------------------------------------------------------------


async def test_a_title_is_bold_and_the_text_is_not_touched(telegram: TelegramStandin, make: Make) -> None:
    await make().send_message(chat_message("a_b", title="Pump 3!"))
    assert telegram.sent[0]["raw"] == "*Pump 3\\!*\na\\_b"
    assert telegram.texts == ["Pump 3!\na_b"]
    assert telegram.sent[0]["chat_id"] == 42


async def test_without_the_parser_the_text_goes_as_it_is(telegram: TelegramStandin, make: Make) -> None:
    await make(message_parser="plain").send_message(chat_message("a_b*"))
    assert telegram.sent[0]["raw"] == "a_b*"
    assert "parse_mode" not in telegram.sent[0]


async def test_what_telegram_cannot_parse_is_sent_as_plain_text(
    telegram: TelegramStandin, make: Make
) -> None:
    telegram.fail(CALLS, 400, "Bad Request: can't parse entities: whatever")
    receipt = await make().send_message(chat_message("a.b"))
    assert telegram.sent[0]["raw"] == "a.b"
    assert "plain text" in receipt.note


async def test_topics_and_buttons_arrive(telegram: TelegramStandin, make: Make) -> None:
    buttons = (Button("Approve", "ok:1"), Button("Deny", "no:1"))
    await make().send_message(chat_message("?", conversation="-100123/45", buttons=buttons))
    [sent] = telegram.sent
    assert (sent["chat_id"], sent["message_thread_id"]) == (-100123, 45)
    assert [row[0]["callback_data"] for row in sent["reply_markup"]["inline_keyboard"]] == ["ok:1", "no:1"]
    with pytest.raises(DeliveryRefused, match="64 bytes"):
        await make().send_message(chat_message("?", buttons=(Button("x", "键" * 22),)))


async def test_too_many_requests_say_when_to_come_back(telegram: TelegramStandin, make: Make) -> None:
    telegram.fail(CALLS, 429, "Too Many Requests: retry after 9", retry_after=9)
    with pytest.raises(DeliveryDeferred) as caught:
        await make().send_message(chat_message("hi"))
    assert caught.value.retry_after == 9


async def test_a_wrong_token_waits_for_a_person(make: Make) -> None:
    for token in ("1:wrong", "rubbish"):
        bridge = make(token=token)
        with pytest.raises(NotReady, match="token"):
            await bridge.send_message(chat_message("hi"))
        assert (await bridge.probe()).state is ProbeState.WAITING


async def test_an_unknown_chat_is_refused_for_good(telegram: TelegramStandin, make: Make) -> None:
    telegram.chats = {1}
    with pytest.raises(DeliveryRefused, match="chat not found"):
        await make().send_message(chat_message("hi"))
    telegram.fail(CALLS, 403, "Forbidden: bot was blocked by the user")
    with pytest.raises(DeliveryRefused, match="blocked"):
        await make().send_message(chat_message("hi"))


async def test_a_lost_answer_is_a_possible_repeat_and_a_closed_port_is_not(
    telegram: TelegramStandin, make: Make
) -> None:
    telegram.fail(CALLS, 0)
    with pytest.raises(PlatformAway) as lost:
        await make().send_message(chat_message("hi"))
    assert lost.value.maybe_sent
    telegram.fail(CALLS, 502)
    with pytest.raises(PlatformAway):
        await make().send_message(chat_message("hi"))
    nobody = make(api="http://127.0.0.1:1")
    with pytest.raises(PlatformAway) as closed:
        await nobody.send_message(chat_message("hi"))
    assert not closed.value.maybe_sent
    assert (await nobody.probe()).state is ProbeState.AWAY


async def test_parts_that_arrived_are_not_sent_again(telegram: TelegramStandin, make: Make) -> None:
    text = "\n".join(f"{number} " + "x" * 3000 for number in range(3))
    telegram.fail(CALLS, 429, "later", retry_after=1)
    bridge = make()
    with pytest.raises(DeliveryDeferred) as caught:
        await bridge.send_message(chat_message(text))
    assert caught.value.parts_done == 0
    await bridge.send_message(chat_message(text, parts_done=2))
    assert [sent[:2] for sent in telegram.texts] == ["2 "]


async def test_a_group_that_became_a_supergroup_is_followed(telegram: TelegramStandin, make: Make) -> None:
    telegram.fail(CALLS, 400, "Bad Request: group chat was upgraded", migrate_to_chat_id=-100777)
    receipt = await make().send_message(chat_message("hi", conversation="-5"))
    assert telegram.sent[0]["chat_id"] == -100777
    assert "-100777" in receipt.note


async def test_a_proxy_of_the_environment_is_not_used(
    telegram: TelegramStandin, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    await make().send_message(chat_message("hi"))
    assert telegram.texts == ["hi"]


@asynccontextmanager
async def socks5(seen: list[bytes]) -> AsyncIterator[int]:
    """A proxy after RFC 1928, without authentication, that connects to IPv4 addresses."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        version, methods = await reader.readexactly(2)
        await reader.readexactly(methods)
        writer.write(bytes([version, 0]))
        request = await reader.readexactly(10)
        seen.append(request)
        port = int.from_bytes(request[8:10], "big")
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        await asyncio.gather(_pipe(reader, there_writer), _pipe(there_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    except OSError:
        return
    finally:
        target.close()


async def test_a_socks5_proxy_carries_everything(telegram: TelegramStandin, make: Make) -> None:
    seen: list[bytes] = []
    async with socks5(seen) as port:
        bridge = make(proxy=f"socks5://127.0.0.1:{port}")
        await bridge.send_message(chat_message("by proxy"))
        await bridge.stop()
    assert telegram.texts == ["by proxy"]
    assert len(seen) == 1


# --- in ---------------------------------------------------------------------------------------------


async def test_updates_are_committed_before_telegram_may_forget_them(
    telegram: TelegramStandin, make: Make
) -> None:
    class Failing(MemoryInbox):
        failures = 1

        async def receive(self, events: Sequence[RawEvent], cursor: str | None = None) -> int:
            if self.failures:
                self.failures -= 1
                raise OSError("the disk is full")
            assert telegram.confirmed < int(events[0].event_id), "confirmed before it was kept"
            return await super().receive(events, cursor)

    inbox = Failing()
    bridge = make(inbox=inbox)
    await bridge.start()
    first = telegram.say("status")
    await wait_for_async(lambda: len(inbox.events) == 1)
    assert inbox.failures == 0
    second = telegram.say("stop")
    await wait_for_async(lambda: len(inbox.events) == 2)
    await wait_for_async(lambda: telegram.confirmed == second)
    assert [event.event_id for event in inbox.events] == [str(first), str(second)]
    assert inbox.position == str(second + 1)


async def test_a_restart_goes_on_where_the_last_life_had_committed(
    telegram: TelegramStandin, make: Make
) -> None:
    inbox = MemoryInbox()
    telegram.say("one")
    bridge = make(inbox=inbox)
    await bridge.start()
    await wait_for_async(lambda: len(inbox.events) == 1)
    await bridge.stop()
    telegram.say("two")
    second = make(inbox=inbox)
    await second.start()
    await wait_for_async(lambda: len(inbox.events) == 2)
    [message] = await second.handle_event(inbox.events[1].payload)
    assert message.text == "two"


async def test_polling_takes_a_foreign_webhook_away_and_goes_on_after_errors(
    telegram: TelegramStandin, make: Make
) -> None:
    telegram.webhook = {"url": "https://elsewhere.example.com/x"}
    telegram.fail("getUpdates", 502)
    inbox = MemoryInbox()
    bridge = make(inbox=inbox)
    await bridge.start()
    telegram.say("hello")
    await wait_for_async(lambda: inbox.events, timeout=15)
    assert telegram.webhook == {}


async def test_two_pollers_of_one_bot_are_said_so(telegram: TelegramStandin, make: Make) -> None:
    telegram.fail("getUpdates", 409, "Conflict: terminated by other getUpdates request")
    bridge = make()
    await bridge.start()
    await wait_for_async(lambda: telegram.count("getUpdates") == 1)

    async def said() -> bool:
        return "another program" in (await bridge.probe()).message

    await wait_for_async(said)


async def test_two_pollers_that_take_turns_stay_in_sight_while_one_hears(
    telegram: TelegramStandin, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "CONFLICT_PAUSE", 0.05)
    telegram.fail("getUpdates", 409, "Conflict: terminated by other getUpdates request", times=2)
    inbox = MemoryInbox()
    bridge = make(inbox=inbox)
    await bridge.start()
    await wait_for_async(lambda: telegram.count("getUpdates") >= 3)
    telegram.say("hello")
    await wait_for_async(lambda: inbox.events and telegram.count("getUpdates") >= 4)
    assert (await bridge.probe()).message == receiving.OTHER_POLLER
    monkeypatch.setattr(receiving, "CONFLICT_REMEMBERED", 0.0)
    telegram.say("and alone")
    await wait_for_async(lambda: bridge._receiver.trouble == "")
    assert len(inbox.events) == 2


async def test_a_webhook_that_another_program_takes_away_is_set_again_and_said(
    telegram: TelegramStandin, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "WATCH_WEBHOOK_EVERY", 0.05)
    url = "https://box.example.com/api/telegram"
    bridge = make(webhook=url)
    await bridge.start()
    await wait_for_async(lambda: telegram.webhook.get("url") == url and not bridge._receiver.trouble)
    telegram.webhook = {}
    await wait_for_async(lambda: bridge._receiver.trouble == receiving.OTHER_WEBHOOK)
    await wait_for_async(lambda: telegram.webhook.get("url") == url)
    assert (await bridge.probe()).state is ProbeState.AWAY


async def test_a_webhook_that_telegram_cannot_reach_is_deaf_at_once_and_then_polled(
    telegram: TelegramStandin, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "WATCH_WEBHOOK_EVERY", 0.1)
    inbox = MemoryInbox()
    bridge = make(webhook="https://box.example.com/api/telegram", inbox=inbox)
    telegram.webhook_error, telegram.webhook_error_at = "Connection refused", 1.0
    await bridge.start()
    telegram.say("hello")
    await wait_for_async(lambda: telegram.count("getWebhookInfo") >= 3)
    assert bridge._receiver.trouble == "", "an error of long ago says nothing"
    telegram.webhook_error_at = 0.0
    await wait_for_async(lambda: "cannot reach" in bridge._receiver.trouble)
    assert inbox.events == []
    await wait_for_async(lambda: inbox.events)
    assert "polling instead" in (await bridge.probe()).message


async def test_a_webhook_is_set_with_its_secret(telegram: TelegramStandin, make: Make) -> None:
    url = "https://box.example.com/api/telegram"
    bridge = make(webhook=url)
    await bridge.start()
    await wait_for_async(lambda: telegram.webhook.get("url") == url)
    assert telegram.webhook["secret_token"] == WEBHOOK_SECRET
    assert telegram.count("getUpdates") == 0


async def test_a_webhook_that_telegram_refuses_becomes_polling(telegram: TelegramStandin, make: Make) -> None:
    inbox = MemoryInbox()
    bridge = make(webhook="https://your-domain/api/telegram", inbox=inbox)
    await bridge.start()
    telegram.say("hello")
    await wait_for_async(lambda: inbox.events)
    assert "polling instead" in (await bridge.probe()).message


async def test_a_pressed_button_is_answered_and_understood(telegram: TelegramStandin, make: Make) -> None:
    inbox = MemoryInbox()
    bridge = make(inbox=inbox)
    await bridge.start()
    telegram.press("ok:1")
    await wait_for_async(lambda: inbox.events)
    [message] = await bridge.handle_event(inbox.events[0].payload)
    assert (message.text, message.user_id) == ("ok:1", "7")
    await wait_for_async(lambda: telegram.count("answerCallbackQuery") == 1)


# --- the token ----------------------------------------------------------------------------------------


async def test_the_token_is_in_no_log_and_in_no_error(
    telegram: TelegramStandin, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    for logger in ("", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, logger=logger)
    errors: list[BaseException] = []

    async def attempt(bridge: TelegramBridge) -> None:
        try:
            await bridge.send_message(chat_message("hi"))
        except Exception as error:
            logging.getLogger("test").exception("it failed")
            errors.append(error)

    await attempt(make())
    for status in (0, 400, 401, 403, 429, 500):
        telegram.fail(CALLS, status, f"about {TOKEN}")
        await attempt(make())
    await attempt(make(api="http://127.0.0.1:1"))
    await attempt(make(api="http://["))
    await attempt(make(api="http://no-such-host.invalid"))
    await attempt(make(proxy="socks5://me:hush@127.0.0.1:1"))
    silent = make(api="http://127.0.0.1:1")
    await silent.start()
    await wait_for_async(lambda: silent._receiver.trouble)
    assert len(errors) == 10
    causes = [error.__cause__ or error.__context__ for error in errors]
    assert not any(
        type(cause).__module__.startswith("httpx") and not error.__suppress_context__
        for error, cause in zip(errors, causes, strict=True)
    ), "httpx's errors carry the request"
    everything = caplog.text + repr(errors) + "".join(map(str, errors)) + silent._receiver.trouble
    assert "it failed" in everything
    assert f"bot{MASK}" in everything, "httpx did log its addresses"
    assert TOKEN not in everything
    assert TOKEN.partition(":")[2] not in everything
    assert "hush" not in everything
