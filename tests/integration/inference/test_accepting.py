"""A candidate before a real keeper and the real database: it goes live by its tests, and by nothing else."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from appliance.audit.models import AuditRecord
from appliance.inference import believing
from appliance.inference.acceptance import keys, running
from appliance.inference.acceptance.running import Accepting
from appliance.inference.acceptance.services import profile_of, verdict
from appliance.inference.acceptance.tries import Tries
from appliance.inference.backends.contract import Plan, Running
from appliance.inference.catalogue.repository import MANIFEST, Repository
from appliance.inference.client import KeeperClient
from appliance.inference.domain import EngineKind, InstanceState
from appliance.inference.errors import ModelUnknown
from appliance.inference.leases import Wish
from appliance.inference.models import Acceptance, Candidate, ServedModel
from appliance.inference.scheduling.keeper import Keeper
from appliance.inference.scheduling.server import KeeperServer
from appliance.inference.scheduling.shelf import DatabaseShelf
from appliance.lib.cancelling import end
from appliance.lib.clock import SystemClock
from appliance.lib.config import get_config
from appliance.lib.model_images import ModelImage
from appliance.processes.certificate import make_certificate
from tests.engine_room import GPU, EngineRoom, Room, served
from tests.integration.inference.conftest import Pool
from tests.standins.tested_engine import Answer, TestedEngine
from tests.wait import wait_for_async

pytestmark = pytest.mark.asyncio
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Here(EngineRoom):
    """Every engine is the one at ``url``."""

    url = ""

    async def start(self, plan: Plan, generation: int) -> Running:
        return replace(await super().start(plan, generation), url=self.url)


def put(models: Path, version: str, size: int = 1) -> str:
    """A version in the repository; gives its digest. ``size`` in GiB."""
    made = served("tiny", size).manifest
    file = made.files[0].model_copy(update={"sha256": version.rjust(64, "0")})
    manifest = made.model_copy(update={"version": version, "files": (file,)})
    folder = models / "tiny" / version
    folder.mkdir(parents=True)
    (folder / MANIFEST).write_text(manifest.model_dump_json())
    return manifest.digest


def row(version: str, digest: str) -> dict[str, Any]:
    way = {"engine": EngineKind.LLAMACPP, "context": 1024, "slots": 1, "device": GPU, "options": {}}
    return {
        "name": "tiny", "version": version, "digest": digest, "keep_alive": 600.0, "changed_at": NOW,
        "changed_by": "user:eve", **way,
    }  # fmt: skip


@dataclass
class Scene:
    """Version 1 is live, version 2 the candidate."""

    accepting: Accepting
    keeper: Keeper
    client: KeeperClient
    engine: TestedEngine
    tries: Tries
    stop: str = ""

    async def candidate(self) -> Candidate | None:
        return await Candidate.objects.filter(name="tiny").afirst()

    async def live(self) -> ServedModel:
        return await ServedModel.objects.aget(name="tiny")

    async def step(self) -> None:
        self.accepting.wake()
        await self.accepting.step()

    async def at_work(self) -> "asyncio.Task[None]":
        """The tests are under way, and wait for an answer."""
        self.engine.hold.clear()
        task = asyncio.create_task(self.step())
        await wait_for_async(lambda: bool(self.engine.asked))
        return task


@asynccontextmanager
async def scene(
    pool: Pool, folder: Path, *, secure: ssl.SSLContext | None = None, size: int = 1
) -> AsyncIterator[Scene]:
    models, door = folder / "models", folder / "keeper.sock"
    live, new = put(models, "1"), put(models, "2", size)
    await ServedModel.objects.acreate(**row("1", live))
    await Candidate.objects.acreate(**row("2", new), profile="p" * 64, state="waiting", over=1)
    room, engines = Room(), Here()
    repository = Repository(models)
    backends = {EngineKind.LLAMACPP: engines}
    made: list[Scene] = []
    keeper = Keeper(
        DatabaseShelf(pool, repository),
        room.records,
        backends,
        room._hardware,
        engines,
        SystemClock(),
        stopped=lambda: made[0].stop if made else "",
    )
    async with TestedEngine().serving(secure) as engine:
        engines.url = engine.url
        tasks = {
            asyncio.create_task(keeper.run()),
            asyncio.create_task(KeeperServer(keeper, door).serve()),
        }
        await wait_for_async(lambda: door.exists() and bool(keeper.roster.instances))
        client, tries = KeeperClient(door), Tries(pool, SystemClock())
        accepting = Accepting(tries, client, repository, lambda: made[0].stop, poll=0.05)
        made.append(Scene(accepting, keeper, client, engine, tries))
        yield made[0]
        engine.hold.set()
        await end(tasks)


async def test_a_candidate_goes_live_by_its_tests_and_not_before(pool: Pool, tmp_path: Path) -> None:
    async with scene(pool, tmp_path) as one:
        testing = await one.at_work()
        wish = Wish(model="tiny", principal="user:ana")
        async with one.client.lease(wish) as lease:
            assert lease.chosen.version == "1"
            assert lease.granted.served_name == "tiny"
        with pytest.raises(ModelUnknown):
            async with one.client.lease(Wish(model="tiny@2", principal="user:ana")):
                pass
        assert (await one.live()).version == "1"
        one.engine.hold.set()
        await testing
        live = await one.live()
        assert (live.version, live.previous, live.revision, live.changed_by) == ("2", "1", 2, "user:eve")
        assert await one.candidate() is None
        tried = await Acceptance.objects.aget()
        assert tried.passed
        assert [found["name"] for found in tried.results] == [
            "completion", "conformance", "context", "injection",
        ]  # fmt: skip
        record = await sync_to_async(AuditRecord.objects.filter(kind="model.served").latest)("seq")
        assert f'"acceptance":{tried.pk}' in record.body.replace(" ", "")


async def test_a_refused_one_shows_why_and_what_is_live_goes_on(pool: Pool, tmp_path: Path) -> None:
    async with scene(pool, tmp_path) as one:
        one.engine.misbehaves = lambda body: Answer("{no")
        await one.step()
        candidate = await one.candidate()
        assert candidate is not None
        assert candidate.state == "refused"
        assert candidate.reason.startswith("it failed conformance: 0 of 8")
        assert (await one.live()).version == "1"
        assert not (await Acceptance.objects.aget()).passed
        async with one.client.lease(Wish(model="tiny", principal="user:ana")) as lease:
            assert lease.chosen.version == "1"


async def test_an_engine_that_dies_refuses_the_candidate_alone(pool: Pool, tmp_path: Path) -> None:
    async with scene(pool, tmp_path) as one:
        one.engine.misbehaves = lambda body: Answer(cut=True)
        await one.step()
        candidate = await one.candidate()
        assert candidate is not None
        assert candidate.state == "refused"
        assert "broke off" in candidate.reason
        assert one.keeper.roster.instances["tiny"].standing.failures == 0


async def test_a_keeper_that_was_killed_begins_again(pool: Pool, tmp_path: Path) -> None:
    async with scene(pool, tmp_path) as one:
        testing = await one.at_work()
        await end({testing})
        first = await Acceptance.objects.aget()
        one.engine.hold.set()
        one.accepting._resumed = False
        await one.step()
        assert (await one.live()).version == "2"
        assert (await Acceptance.objects.aget()).pk != first.pk


async def test_the_all_stop_pauses_and_does_not_refuse(pool: Pool, tmp_path: Path) -> None:
    async with scene(pool, tmp_path) as one:
        testing = await one.at_work()
        one.stop = "the all-stop stands at kill"
        one.engine.misbehaves = lambda body: Answer(cut=True)
        one.engine.hold.set()
        await testing
        candidate = await one.candidate()
        assert candidate is not None
        assert (candidate.state, candidate.reason) == ("waiting", one.stop)
        assert not await Acceptance.objects.aexists()
        one.stop, one.engine.misbehaves = "", lambda body: None
        await wait_for_async(lambda: one.keeper.roster.instances["tiny"].state is InstanceState.ABSENT)
        await one.step()
        assert (await one.live()).version == "2"


async def test_a_candidate_that_has_to_go_for_somebody_else_is_tested_again(
    pool: Pool, tmp_path: Path
) -> None:
    async with scene(pool, tmp_path) as one:
        testing = await one.at_work()
        one.engine.misbehaves = lambda body: Answer(cut=True)
        one.keeper._evict("tiny@2", "vision needs the memory")
        one.engine.hold.set()
        await testing
        candidate = await one.candidate()
        assert candidate is not None
        assert (candidate.state, candidate.reason) == ("waiting", "vision needs the memory")
        assert not await Acceptance.objects.aexists()
        one.engine.misbehaves = lambda body: None
        await one.step()
        assert (await one.live()).version == "2"


async def test_a_verdict_on_what_somebody_has_replaced_changes_nothing(pool: Pool, tmp_path: Path) -> None:
    async with scene(pool, tmp_path) as one:
        claimed = await one.tries.claim()
        assert claimed is not None
        await ServedModel.objects.aupdate(revision=5)
        assert not await one.tries.go_live(claimed, [], "")
        assert (await one.candidate()) is not None
        await ServedModel.objects.aupdate(revision=1)
        await Candidate.objects.aupdate(revision=claimed.revision + 1)
        assert not await one.tries.go_live(claimed, [], "")
        assert (await one.live()).version == "1"
        assert (await Acceptance.objects.aget()).passed is None


async def test_tests_that_break_refuse_their_candidate_and_the_next_is_tested(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError

    async with scene(pool, tmp_path) as one:
        monkeypatch.setattr(running, "run_suite", broken)
        await one.step()
        candidate = await one.candidate()
        assert candidate is not None
        assert candidate.state == "refused"
        assert "tests themselves broke" in candidate.reason
        monkeypatch.undo()
        await Candidate.objects.aupdate(state="waiting")
        await one.step()
        assert (await one.live()).version == "2"


async def test_what_there_is_no_room_for_is_not_tested_and_keeps_what_it_passed(
    pool: Pool, tmp_path: Path
) -> None:
    async with scene(pool, tmp_path, size=500) as one:
        candidate = await one.candidate()
        assert candidate is not None
        key = keys.key_now(profile_of(candidate))
        await Candidate.objects.aupdate(profile=key)
        given = {"model": "tiny", "version": "2", "digest": candidate.digest, "profile": key}
        await Acceptance.objects.acreate(
            **given, passed=True, started_at=NOW, finished_at=NOW, asked_by="user:eve"
        )
        await one.step()
        candidate = await one.candidate()
        assert candidate is not None
        assert candidate.state == "refused"
        assert "can be freed" in candidate.reason
        known = await sync_to_async(verdict)("tiny", candidate.digest, key)
        assert known is not None
        assert known.passed


async def test_who_finds_no_place_lets_the_next_one_try(pool: Pool, tmp_path: Path) -> None:
    async with scene(pool, tmp_path) as one:
        other = {**row("1", "0" * 64), "name": "other", "changed_at": NOW + timedelta(seconds=1)}
        await Candidate.objects.acreate(**other, profile="p" * 64, state="waiting", over=0)
        seen = []
        for _ in range(3):
            claimed = await one.tries.claim()
            assert claimed is not None
            seen.append(claimed.name)
            await one.tries.pause(claimed, "no place")
        assert seen == ["tiny", "other", "tiny"]


async def test_an_acceptance_is_for_the_image_that_was_tested(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene(pool, tmp_path) as one:
        candidate = await one.candidate()
        assert candidate is not None
        profile = profile_of(candidate)
        before = keys.key_now(profile)
        await Candidate.objects.aupdate(profile=before)
        image = ModelImage("llamacpp", "b1", "registry.example/llama@sha256:" + "1" * 64)
        named = get_config().model_copy(update={"model_images": (image,)})
        monkeypatch.setattr(keys, "get_config", lambda: named)
        await one.step()
        assert (await one.live()).version == "2"
        tried = await Acceptance.objects.aget()
        assert tried.profile == keys.key_now(profile) != before


async def test_an_engine_with_the_operators_own_certificate_goes_live(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate, key = tmp_path / "there.crt", tmp_path / "there.key"
    make_certificate(certificate, key, ["127.0.0.1"])
    secure = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    secure.load_cert_chain(certificate, key)
    config = get_config().model_copy(update={"remote_models_ca": certificate})
    monkeypatch.setattr(believing, "get_config", lambda: config)
    async with scene(pool, tmp_path, secure=secure) as one:
        await one.step()
        assert (await one.live()).version == "2"
