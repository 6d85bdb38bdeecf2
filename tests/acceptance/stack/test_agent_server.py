"""The brief's command on a real box: a model, its platforms and a cache, twice."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.lib.config import ROOT
from tests.acceptance.stack.test_models import models
from tests.box import Box
from tests.standins.telegram import TOKEN, TelegramStandin
from tests.tiny_model import write_tiny_model
from tests.wait import wait_for

BRIEF = ROOT / "examples" / "brief_platforms.json"


@pytest.fixture
def telegram() -> Iterator[TelegramStandin]:
    with TelegramStandin() as running:
        yield running


def told(box: Box) -> dict[str, Any]:
    """The line for scripts."""
    lines = [line for line in box.said().splitlines() if line.startswith("{")]
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def test_what_is_wrong_is_said_before_anything_is_there(make_box: Callable[..., Box]) -> None:
    box = make_box()
    pickle = box.home.parent / "pytorch_model.bin"
    pickle.write_bytes(b"x")
    done = box.manage("agent_server", "--model-path", str(pickle), "--platform-config", str(BRIEF))
    assert (done.returncode, "can run code when it is read" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr
    assert box.manage("agent_server").returncode == 2
    assert not (box.home / "data").exists()


@pytest.mark.slow
def test_the_briefs_command_starts_a_box_with_its_model_and_platforms(
    make_box: Callable[..., Box], telegram: TelegramStandin, tmp_path: Path
) -> None:
    pytest.importorskip("xllamacpp")
    password = tmp_path / "password"
    password.write_text("hammer-and-anvil-7\n")
    box = make_box(
        MILLWRIGHT_ADMIN_PASSWORD_FILE=str(password),
        MILLWRIGHT_TELEGRAM_API=telegram.root,
        MILLWRIGHT_STANDIN_MODELS="tiny-lm-f32",
        BOT_TOKEN=TOKEN,
    )
    model = write_tiny_model(box.home.parent / "Tiny LM-F32.gguf")
    cache = box.home.parent / "cache"
    words = ["--model-path", str(model), "--platform-config", str(BRIEF), "--cache-dir", str(cache)]
    planned = json.loads(box.manage("agent_server", *words, "--dry-run", "--json").stdout)
    assert (planned["model"]["name"], planned["model"]["here"]) == ("tiny-lm-f32", False)
    assert planned["cache"] == str(cache)
    assert not (box.home / "data").exists()

    box.start(*words, "--json", verb="agent_server")
    first = told(box)
    assert first["model"] | {"version": ""} == {
        "name": "tiny-lm-f32", "version": "", "imported": True, "engine": "llamacpp",
    }  # fmt: skip
    states = {one["name"]: one for one in first["platforms"]}
    assert states["telegram"]["state"] == "ok"
    assert set(states) == {"telegram", "enterprise_im"}
    assert any("BOT_TOKEN" in notice for notice in states["telegram"]["notices"])
    assert models(box, "matrix", "chat") == {"chat": ["tiny-lm-f32"]}
    assert any("tested on this box first" in note for note in first["notes"])
    assert any("talks to the task assistant" in note for note in first["notes"])
    assert json.loads(box.manage("assistant", "status", "--json").stdout)["enabled"] is True
    wait_for(
        lambda: box.manage("models", "test", "tiny-lm-f32").returncode == 0, 120, "it has passed, and answers"
    )
    refused = box.manage("agent_server", *words)
    assert (refused.returncode, "is running already" in refused.stderr) == (1, True)
    assert box.manage("assistant", "off").returncode == 0
    assert box.stop() == 0

    box.start(*words, verb="agent_server")
    assert "the task assistant is switched off, and stays so" in box.said()
    assert "was here already" in box.said()
    assert "is served already" in box.said()
    assert f"Caches of engines: {cache}" in box.said()
    assert models(box, "show", "tiny-lm-f32")["versions"] == [first["model"]["version"]]
    assert box.stop(signal.SIGTERM) == 0
