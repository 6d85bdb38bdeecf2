"""The page, the API and the figures of models; the keeper behind them answers on a real socket."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from appliance.accounts.domain import Role
from appliance.inference.backends.contract import Readiness, Sign
from appliance.inference.catalogue.progress import Progress
from appliance.inference.catalogue.repository import MANIFEST
from appliance.inference.catalogue.staging import open_staging
from appliance.inference.domain import Work
from appliance.inference.leases import Wish
from appliance.inference.models import ServedModel, WorkChain
from appliance.inference.scheduling.server import KeeperServer
from appliance.processes.models import PartBeat
from tests.accepted import accept_candidate
from tests.engine_room import Room
from tests.served_models import tiny_served
from tests.wait import wait_for

Browsers = Callable[[Role], Client]


@pytest.fixture
def repository() -> Iterator[Path]:
    home = settings.CONFIG.home
    served = tiny_served(home.models)
    (served.folder / MANIFEST).write_text(served.manifest.model_dump_json())
    yield home.models
    for path in sorted(home.models.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


@pytest.fixture
def keeper(repository: Path, tmp_path: Path) -> Iterator[Room]:
    """A keeper of obedient engines that serves ``tiny``, on the box's own socket."""
    room = Room(tiny_served(tmp_path))
    door = settings.CONFIG.home.keeper_socket
    door.parent.mkdir(parents=True, exist_ok=True)
    loop, ended = asyncio.new_event_loop(), asyncio.Event()

    async def keep() -> None:
        async with room:
            serving = asyncio.create_task(KeeperServer(room.keeper, door).serve())
            await ended.wait()
            serving.cancel()

    thread = threading.Thread(target=loop.run_until_complete, args=(keep(),))
    thread.start()
    wait_for(door.exists)
    yield room
    loop.call_soon_threadsafe(ended.set)
    thread.join()
    loop.close()
    door.unlink(missing_ok=True)


def serve_live(client: Client) -> None:
    """``tiny``, which has passed its tests."""
    client.post("/models/tiny/serve/", {})
    accept_candidate("tiny", datetime.now(UTC))
    client.post("/models/tiny/serve/", {})


@contextmanager
def asking(wish: Wish) -> Iterator[None]:
    """Somebody at the keeper's door who waits."""
    with socket.socket(socket.AF_UNIX) as door:
        door.connect(str(settings.CONFIG.home.keeper_socket))
        door.sendall(wish.model_dump_json().encode() + b"\n")
        yield


@pytest.mark.usefixtures("repository")
def test_a_model_of_the_box_is_served_put_in_order_and_withdrawn(browser: Browsers) -> None:
    client = browser(Role.ENGINEER)
    page = client.get("/models/").content.decode()
    assert "On this box, not served" in page
    said = {"version": "1", "context": "1024", "slots": "2", "always": "yes"}
    assert client.post("/models/tiny/serve/", said)["Location"] == "/models/"
    assert "is tested first" in client.get("/models/").content.decode()
    assert not ServedModel.objects.exists()
    accept_candidate("tiny", datetime.now(UTC))
    client.post("/models/tiny/serve/", said)
    row = ServedModel.objects.get()
    assert (row.context, row.slots, row.keep_alive, row.changed_by) == (1024, 2, None, "user:engineer")
    client.post("/models/matrix/", {"work": "chat", "names": "tiny"})
    assert WorkChain.objects.get().models_in_order == ["tiny"]
    page = client.post("/models/matrix/", {"work": "chat", "names": "large"}, follow=True).content.decode()
    assert "is not served on this box" in page
    client.post("/models/tiny/act/", {"do": "withdraw"})
    assert not ServedModel.objects.get().enabled


def test_a_model_is_loaded_and_unloaded_from_the_page_and_over_the_api(
    browser: Browsers, keeper: Room
) -> None:
    client = browser(Role.ENGINEER)
    serve_live(client)
    client.post("/models/tiny/act/", {"do": "load"})
    wait_for(lambda: client.get("/api/v1/models/tiny").json()["state"] == "ready")
    page = client.get("/models/").content.decode()
    assert "a real answer came" in page
    assert 'value="unload"' in page
    assert client.post("/api/v1/models/tiny/unload", content_type="application/json").status_code == 200
    wait_for(lambda: client.get("/api/v1/models").json()[0]["state"] == "absent")
    assert keeper.engines.of("tiny").stops == 1
    assert client.get("/api/v1/models/tyny").status_code == 404


@pytest.mark.usefixtures("repository")
def test_a_prompt_that_nobody_can_answer_says_why_with_and_without_a_stream(browser: Browsers) -> None:
    client = browser(Role.OPERATOR)
    ServedModel.objects.create(
        name="tiny", version="1", digest="0" * 64, engine="llamacpp", context=1024,
        changed_at=datetime.now(UTC), changed_by="user:eve",
    )  # fmt: skip
    answer = client.post("/models/test/", {"prompt": "hi", "model": "tiny"})
    assert answer.status_code == 422
    assert "the keeper of models does not run" in answer.content.decode()
    assert client.post("/models/test/", {"prompt": " "}).status_code == 422


@pytest.mark.usefixtures("repository")
def test_a_row_of_the_matrix_is_put_in_order_by_choosing(browser: Browsers) -> None:
    client = browser(Role.ENGINEER)
    serve_live(client)
    page = client.get("/models/").content.decode()
    assert page.count('<select name="names">') == 6  # none for embeddings, which it cannot do
    client.post("/models/matrix/", {"work": "logs", "names": ["", "tiny", ""]})
    assert WorkChain.objects.get().models_in_order == ["tiny"]
    assert '<option value="tiny" selected>' in " ".join(client.get("/models/").content.decode().split())
    twice = client.post("/models/matrix/", {"work": "chat", "names": ["tiny", "tiny"]}, follow=True)
    assert "a model stands there twice" in twice.content.decode()


def test_who_waits_and_what_was_decided_are_shown_in_both_languages(browser: Browsers, keeper: Room) -> None:
    client = browser(Role.ENGINEER)
    serve_live(client)
    wish = Wish(model="tiny", principal="token:ben/bot", work=Work.LOGS)
    keeper.engines.of("tiny").readiness = Readiness(Sign.LOADING, "5 bytes of its log")
    with asking(wish):
        wait_for(lambda: "5 bytes of its log" in client.get("/models/").content.decode())
        page = " ".join(client.get("/models/").content.decode().split())
        assert "token:ben/bot" in page
        assert "gives up in" in page
        assert "told to wait" in page
        client.cookies["django_language"] = "zh-hans"
        chinese = " ".join(
            client.get("/models/", headers={"Accept-Language": "zh-hans"}).content.decode().split()
        )
        assert "后放弃" in chinese
        assert "日志已有 5 字节" in chinese


@pytest.mark.usefixtures("db")
def test_an_empty_box_says_the_next_step_with_its_command(
    browser: Browsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("webadmin.pages.models.lacks_llamacpp", lambda: True)
    page = browser(Role.ENGINEER).get("/models/").content.decode()
    assert "pip install -r requirements-llamacpp.txt" in page
    assert "manage.py models import /path/to/model.gguf --name small" in page
    assert "the keeper of models does not run" in page
    assert "<code>manage.py status</code>" in page


@pytest.mark.usefixtures("db")
def test_an_import_on_its_way_is_shown_until_it_is_there(browser: Browsers) -> None:
    client, models = browser(Role.ENGINEER), settings.CONFIG.home.models
    models.mkdir(exist_ok=True)
    with open_staging(models, "qwen", "4bit", "https://example.com/q.gguf", None) as staging:
        staging.note(Progress("downloading", 250 << 20, 1 << 30))
        page = " ".join(client.get("/models/").content.decode().split())
        assert "qwen@4bit" in page
        assert "250.0 MB of 1.0 GB" in page
        staging.discard()
    assert "qwen@4bit" not in client.get("/models/").content.decode()


def test_the_figures_are_those_that_the_keeper_signed(db: None) -> None:
    figures = {"state": "ready", "in_use": 1, "waiting": 2, "loads": 3, "failures": 1}
    detail = json.loads(json.dumps({"models": {"tiny": figures}}))
    PartBeat.objects.create(part="keeper", at=datetime.now(UTC), healthy=True, detail=detail)
    page = Client().get("/metrics").content.decode()
    assert 'millwright_model_state{model="tiny",state="ready"} 1.0' in page
    assert 'millwright_model_state{model="tiny",state="failed"} 0.0' in page
    assert 'millwright_model_waiting{model="tiny"} 2.0' in page
    assert 'millwright_model_loads_total{model="tiny"} 3.0' in page
    assert 'millwright_model_failures_total{model="tiny"} 1.0' in page


def test_a_golden_set_that_cannot_be_read_breaks_no_page(browser: Browsers, repository: Path) -> None:
    client = browser(Role.ENGINEER)
    serve_live(client)
    (repository / "golden").mkdir()
    (repository / "golden/any.yaml").write_bytes(b"\xff\xfe")
    page = client.get("/models/")
    assert page.status_code == 200
    assert "Your own questions have changed" in page.content.decode()
