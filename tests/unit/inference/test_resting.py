"""A process that asks models again and again: its connections to keeper and engine rest between two questions."""

import asyncio
import contextlib
from typing import Any, cast

import pytest

from appliance.inference import hearing
from appliance.inference.asking import Asker, Question
from appliance.inference.errors import ModelAnswerBad, ModelRefused, ModelUnavailable
from appliance.inference.hearing import EngineClients, heard_from
from appliance.inference.leases import Wish
from appliance.processes.parts import BoxServices
from appliance.sandbox.process.client import ProcessSandbox
from tests.models_desk import Desk, desk
from tests.standins.model_engine import Says, chat, event

WISH = Wish(model="qwen", principal="user:ana")
QUESTION = Question((("user", "hi"),))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The sockets that were opened to the keeper."""
    found: list[Any] = []
    original = asyncio.open_unix_connection

    async def counted(path: Any, **named: Any) -> Any:
        found.append(path)
        return await original(path, **named)

    monkeypatch.setattr(asyncio, "open_unix_connection", counted)
    return found


def services(d: Desk) -> BoxServices:
    nothing = cast(Any, None)
    socket = d.keeper._socket
    return BoxServices("box", nothing, ProcessSandbox(socket.with_name("spawner")), nothing, models=socket)


async def test_questions_one_after_another_share_both_connections(opened: list[Any]) -> None:
    async with desk() as d:
        asking = services(d)
        for _ in range(5):
            assert (await asking.ask(QUESTION, WISH, None)).text == "Hello"
        assert (len(opened), d.engine.connections) == (1, 1)
        await asyncio.gather(*(asking.ask(QUESTION, WISH, None) for _ in range(3)))
        assert (len(opened), d.engine.connections) == (3, 3)
        await asking.close()


async def test_an_engine_that_has_hung_up_meanwhile_is_asked_over_another_connection(
    opened: list[Any],
) -> None:
    async with desk() as d:
        asking = services(d)
        await asking.ask(QUESTION, WISH, None)
        for writer in [*d.engine._writers]:
            writer.transport.abort()
        assert (await asking.ask(QUESTION, WISH, None)).text == "Hello"
        assert d.engine.connections == 2
        await asking.close()


@pytest.mark.parametrize("says", [Says(chat("half ")[:1], ends=False), Says(chat("{no JSON"))])
async def test_an_answer_that_is_none_leaves_nothing_behind_for_the_next(says: Says) -> None:
    """Neither a piece of it, nor a connection in the middle."""
    async with desk() as d:
        asking = services(d)
        d.engine.says = [says]
        with pytest.raises((ModelUnavailable, ModelAnswerBad)):
            await asking.ask(Question((("user", "hi"),), {"type": "object"}), WISH, None)
        assert (await asking.ask(QUESTION, WISH, None)).text == "Hello"
        await asking.close()


async def test_one_that_is_cut_off_while_it_hears_hangs_up(opened: list[Any]) -> None:
    async with desk() as d:
        asking = services(d)
        d.engine.says = [Says(chat("half ", done=False)[:1], hangs=True)]
        heard = asyncio.Event()
        task = asyncio.create_task(asking.ask(QUESTION, WISH, lambda piece: heard.set()))
        await heard.wait()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (await asking.ask(QUESTION, WISH, None)).text == "Hello"
        assert d.engine.left == 1
        await asking.close()


async def test_without_engines_of_its_own_nothing_rests() -> None:
    async with desk() as d:
        asker = Asker(d.keeper)
        for _ in range(2):
            await asker.ask(QUESTION, WISH)
        assert d.engine.connections == 2


@pytest.mark.parametrize(
    "chunk",
    [
        {"choices": [{"index": 0, "delta": {"content": ["a"]}}]},
        {"choices": [7]},
        {"choices": [], "usage": {"prompt_tokens": "many"}},
    ],
)
async def test_pieces_of_a_wrong_kind_are_understood_by_nobody(chunk: Any) -> None:
    async with desk() as d:
        d.engine.says = [Says((event(chunk), *chat("Hello")))]
        with pytest.raises(ModelUnavailable, match="nobody understands"):
            await Asker(d.keeper).ask(QUESTION, WISH)


async def test_an_error_in_the_middle_is_told_wherever_it_stands_in_its_event() -> None:
    async with desk() as d:
        d.engine.says = [Says((*chat("He")[:1], event({"id": "c1", "error": {"message": "no memory left"}})))]
        with pytest.raises(ModelUnavailable, match="no memory left"):
            await Asker(d.keeper).ask(QUESTION, WISH)


async def test_figures_of_no_size_are_the_engines_fault_and_large_ones_fit_a_row() -> None:
    async with desk() as d:
        d.engine.says = [
            Says((b'data: {"choices": [], "usage": {"prompt_tokens": 1e999}}\n\n', *chat("Hello"))),
            Says((event({"choices": [], "usage": {"prompt_tokens": 3 * 10**9}}), *chat("Hello"))),
        ]
        with pytest.raises(ModelUnavailable, match="nobody understands"):
            await Asker(d.keeper).ask(QUESTION, WISH)
        assert (await Asker(d.keeper).ask(QUESTION, WISH)).prompt_tokens < 2**31


async def test_a_schema_that_cannot_be_used_is_not_the_answers_fault() -> None:
    async with desk() as d:
        d.engine.says = [Says(chat("{}"))]
        with pytest.raises(ModelRefused, match=r"/\$defs/missing"):
            await Asker(d.keeper).ask(Question((("user", "hi"),), {"$ref": "#/$defs/missing"}), WISH)


async def test_a_client_in_use_is_not_closed_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing, "MOST_ENGINES", 2)
    async with desk() as d:
        clients, granted = EngineClients(), None
        async with d.keeper.lease(WISH) as lease:
            granted = lease.granted
        others = [granted.model_copy(update={"key": f"key{n}"}) for n in range(4)]
        async with clients.of(granted) as used:
            for other in others:
                async with clients.of(other):
                    pass
            assert not used.client.is_closed()
            assert len(clients._known) == 2
        await clients.close()
        assert used.client.is_closed()


class OneAnswer:
    """A server of which each connection answers once, and hangs up when it is asked again."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await _request(reader)
            body = b"".join(chat("Hello"))
            head = (
                f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            self.asked.append(1)
            await _request(reader)
            self.asked[-1] += 1
        writer.close()


async def _request(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    await reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))


async def test_a_resting_connection_that_is_gone_at_the_next_question_is_not_the_engines_fault() -> None:
    one = OneAnswer()
    server = await asyncio.start_server(one.serve, "127.0.0.1", 0)
    async with desk() as d, server, d.keeper.lease(WISH) as lease:
        port = server.sockets[0].getsockname()[1]
        lease.granted = lease.granted.model_copy(update={"url": f"http://127.0.0.1:{port}"})
        clients = EngineClients()
        for _ in range(2):
            assert (await heard_from(clients, {"messages": []}, lease, None)).text == "Hello"
        assert one.asked == [2, 1], "the second question was asked over the first connection, and once more"
        await clients.close()
