"""What nothing quick understands is shown to a model that stands ready: seen, on record, not waited for."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import pytest
from asgiref.sync import async_to_sync

from appliance.accounts.domain import Role
from appliance.accounts.models import User
from appliance.accounts.principal import BOX
from appliance.accounts.services import create_user
from appliance.agent.router import loading
from appliance.agent.router.domain import How
from appliance.agent.router.router import everything
from appliance.agent.router.voices import REMEMBERED_FOR, Heard, Voices
from appliance.agent.router.warm import Source, WarmRouter
from appliance.audit.models import AuditRecord
from appliance.bridges.commands import parse_command
from appliance.bridges.ports import ChatSender
from appliance.inference.catalogue.manifest import Manifest, ModelFile
from appliance.inference.catalogue.repository import MANIFEST
from appliance.inference.client import KeeperClient
from appliance.inference.domain import InstanceState, ModelFormat
from appliance.inference.models import ServedModel, Vector, WorkChain
from appliance.inference.overview import repository
from appliance.lib.in_django import in_django
from appliance.processes.chat import ChatCommands
from appliance.processes.chat_routing import LISTENING, ChatRouting
from appliance.runs.models import Run
from appliance.tasks.services import apply_text
from tests.standins.embedding_engine import Engine, engine_and_keeper
from tests.wait import wait_for_async

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TASKS = "- {name: greet, trigger: manual, actions: [{type: set, value: 1}]}"
STRANGE = "please make greet run for everybody"
RUN_GREET = '{"intent": "task.run", "task": "greet"}'


def by_model(said: str) -> bool:
    return said.startswith("The model minilm takes it for this.")


def last_record() -> int:
    return AuditRecord.objects.order_by("-seq").values_list("seq", flat=True).first() or 0


def on_record(after: int) -> list[AuditRecord]:
    return list(AuditRecord.objects.filter(kind="router.model_asked", seq__gt=after))


class Desk:
    """Ana writes in private; ``now`` is the voices' clock."""

    def __init__(self, socket: Path, *, model: bool = True, patience: float = 5.0) -> None:
        self.now = 0.0
        self.voices = Voices(KeeperClient(socket), model=model, patience=patience, clock=lambda: self.now)
        warm = WarmRouter(Source(loading.load, loading.revision), pause=lambda: None)
        self.routing = ChatRouting(warm, voices=self.voices)
        self.commands = ChatCommands(self.routing)
        ana = User.objects.filter(username="ana").first()
        self.ana = ana or create_user("ana", "hammer-and-anvil-7", Role.OPERATOR, BOX)
        self.warm()

    def warm(self) -> None:
        self.routing.warm.refresh()
        async_to_sync(self.voices.keep_warm)()

    async def says(self, text: str) -> str:
        command = parse_command(text, key=f"{text}/{self.now}", received_at=NOW)
        answer = await self.commands.handle(command, ChatSender(self.ana.pk, "ana", "tg", "ana", "c1"))
        return answer.text if answer else ""

    def say(self, text: str) -> str:
        return async_to_sync(self.says)(text)


@pytest.fixture
def engine(tmp_path: Path, transactional_db: None) -> Iterator[Engine]:
    apply_text(TASKS, "t.yaml", BOX, NOW)
    with engine_and_keeper(tmp_path / "k.sock") as engine:
        engine.says = RUN_GREET
        yield engine


def serve(name: str, digest: str = "d" * 64, *, vectors: bool = False) -> None:
    """A row, and the manifest of its files."""
    file = ModelFile(path="model.gguf", size=1, sha256="0" * 64)
    manifest = Manifest(
        name=name,
        version="1",
        format=ModelFormat.GGUF,
        files=(file,),
        main="model.gguf",
        embeddings=vectors,
        added_at=NOW,
    )
    folder = repository().root / name / "1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    values = {"version": "1", "digest": digest, "engine": "llamacpp", "context": 512, "changed_at": NOW}
    ServedModel.objects.update_or_create(name=name, defaults={**values, "changed_by": "box"})


@pytest.fixture
def desk(engine: Engine, tmp_path: Path) -> Callable[..., Desk]:
    def make(**how: object) -> Desk:
        serve("minilm")
        return Desk(tmp_path / "k.sock", **how)  # type: ignore[arg-type]

    return make


def test_what_changes_something_is_asked_back_and_says_which_model_took_it_so(
    engine: Engine, desk: Callable[..., Desk]
) -> None:
    before = last_record()
    said = desk().say(STRANGE)
    assert said == "The model minilm takes it for this. Is it meant? Then write it:\nrun greet"
    assert Run.objects.count() == 0
    (record,) = on_record(before)
    assert (record.principal, record.subject) == ("user:ana", "model/minilm")
    for part in (
        '"digest":"' + "d" * 64,
        '"reason":"the first of those on this box that is ready"',
        '"said":"task.run"',
        '"agreed":true',
        STRANGE,
    ):
        assert part in record.body
    assert engine.wishes[-1].pinned == "d" * 64


def test_a_question_is_answered_with_a_note_in_the_language_of_the_question(
    engine: Engine, desk: Callable[..., Desk]
) -> None:
    engine.says = '{"intent": "platforms.list", "task": ""}'
    at = desk()
    assert at.say("where can I chat").startswith("The model minilm understood: platforms\n")
    assert at.say("在哪里可以聊").startswith("模型 minilm 理解为：平台\n")


def test_what_a_model_says_goes_through_the_same_checks_and_is_not_even_asked_where_it_cannot_be_right(
    engine: Engine, desk: Callable[..., Desk]
) -> None:
    at = desk()
    assert not by_model(at.say("postpone the greet thing"))
    assert len(engine.bodies) == 1
    for text in ("never greet anybody", "greet all of them tomorrow", "不要 greet 他们"):
        assert not by_model(at.say(text))
    assert len(engine.bodies) == 1


def test_one_that_is_not_ready_is_not_waited_for(engine: Engine, desk: Callable[..., Desk]) -> None:
    at = desk()
    engine.state = InstanceState.ABSENT
    assert not by_model(at.say(STRANGE))
    assert [order.model for order in engine.orders] == ["minilm"]
    assert engine.wishes == []
    engine.state = InstanceState.READY
    assert by_model(at.say(STRANGE))


def test_the_same_sentence_of_one_person_is_asked_once_in_its_time(
    engine: Engine, desk: Callable[..., Desk]
) -> None:
    at, before = desk(), last_record()
    for _ in range(3):
        assert by_model(at.say(STRANGE))
    assert len(engine.bodies) == 1
    assert len(on_record(before)) == 1
    at.now = REMEMBERED_FOR
    assert by_model(at.say(STRANGE))
    assert len(engine.bodies) == 2


def test_a_model_that_says_nothing_holds_a_chat_for_its_seconds_and_nobody_else(
    engine: Engine, desk: Callable[..., Desk]
) -> None:
    engine.goes_on.clear()
    at = desk(patience=0.4)

    async def both() -> tuple[str, int]:
        waits = asyncio.create_task(at.says(STRANGE))
        await wait_for_async(lambda: bool(engine.bodies))
        count = await asyncio.wait_for(in_django(User.objects.count), 0.3)
        assert not waits.done()
        return await waits, count

    said, count = async_to_sync(both)()
    assert (by_model(said), count) == (False, 1)
    assert not by_model(at.say(STRANGE))
    assert len(engine.bodies) == 1


def test_it_can_be_switched_off(engine: Engine, desk: Callable[..., Desk]) -> None:
    assert not by_model(desk(model=False).say(STRANGE))
    assert engine.wishes == []


def test_a_box_without_models_takes_no_second_way(engine: Engine, tmp_path: Path) -> None:
    at = Desk(tmp_path / "k.sock")
    assert not at.voices.any_there
    assert not by_model(at.say(STRANGE))
    assert engine.wishes == []


def test_an_encoder_is_made_ready_kept_by_digest_and_made_anew_with_another(
    engine: Engine, tmp_path: Path
) -> None:
    engine.model = "encoder"
    serve("encoder", vectors=True)
    at = Desk(tmp_path / "k.sock")
    assert at.voices.any_there
    kept = Vector.objects.filter(encoder="d" * 64).count()
    assert kept > 50
    asked = len(engine.asked)
    at.warm()
    Desk(tmp_path / "k.sock")
    assert len(engine.asked) == asked + 1  # the second one asks in which script it reads, and reads the rest
    engine.digest = "e" * 64
    serve("encoder", "e" * 64, vectors=True)
    at.warm()
    assert Vector.objects.filter(encoder="e" * 64).count() == kept


def test_an_encoder_proposes_and_is_silent_while_it_is_away(
    engine: Engine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "appliance.agent.router.encoded")
    engine.model = "encoder"
    serve("encoder", vectors=True)
    at = Desk(tmp_path / "k.sock")
    router = at.routing.warm.router()
    looks = at.voices.hear(router, "gimme something", "user:ana", everything).routed.looks
    assert any(look.step == How.ENCODER for look in looks)
    engine.state = InstanceState.ABSENT
    for text in ("gimme something", "gimme something else"):
        looks = at.voices.hear(router, text, "user:ana", everything).routed.looks
        assert not any(look.step == How.ENCODER for look in looks)
    engine.state = InstanceState.READY
    at.voices.hear(router, "gimme something", "user:ana", everything)
    named = "appliance.agent.router.encoded"
    said = [one.getMessage() for one in caplog.records if one.name == named]
    assert [text.partition(":")[0] for text in said] == [
        "the router goes without its encoder",
        "the router has its encoder again",
    ]


def test_the_matrix_names_the_encoder(engine: Engine) -> None:
    serve("a_vectors", vectors=True)
    serve("b_vectors", "f" * 64, vectors=True)
    serve("writer", "c" * 64)
    assert loading.offered() == loading.Offered(("a_vectors", "d" * 64), (), True)
    WorkChain.objects.create(work="embeddings", models_in_order=["b_vectors"], changed_at=NOW, changed_by="x")
    WorkChain.objects.create(
        work="classification", models_in_order=["writer"], changed_at=NOW, changed_by="x"
    )
    assert loading.offered() == loading.Offered(("b_vectors", "f" * 64), ("writer",), True)


def test_who_comes_while_the_slow_voices_listen_is_answered_without_them(
    desk: Callable[..., Desk], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, go = desk(), Event()
    heard: list[str] = []

    def slow(router: object, text: str, who: str, sees: object) -> Heard:
        heard.append(text)
        go.wait(10)
        return Heard(here.routing.warm.router().route(text))

    monkeypatch.setattr(here.voices, "hear", slow)

    async def all_at_once() -> str:
        waiting = [asyncio.create_task(here.says(f"{STRANGE} {number}")) for number in range(LISTENING)]
        await wait_for_async(lambda: len(heard) == LISTENING)
        try:
            return await asyncio.wait_for(here.says(STRANGE), 5)
        finally:
            go.set()
            await asyncio.gather(*waiting)

    async_to_sync(all_at_once)()
    assert STRANGE not in heard
