"""A model on a whole box: served, asked, and asked again after its engine and after its keeper were killed."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.inference.backends.llamacpp.planning import ENGINE
from appliance.inference.catalogue.repository import MANIFEST
from tests.acceptance.stack.test_whole_box import ready
from tests.box import Box
from tests.served_models import tiny_served
from tests.spawner import processes_with
from tests.wait import wait_for


def put_tiny(box: Box) -> None:
    """Import, as it leaves the repository."""
    served = tiny_served(box.config.home.models)
    manifest = served.folder / MANIFEST
    manifest.write_text(served.manifest.model_dump_json())
    manifest.chmod(0o644)


def models(box: Box, *words: str) -> Any:
    done = box.manage("models", *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def state(box: Box) -> str:
    return str(models(box, "show", "tiny")["state"])


@pytest.mark.slow
def test_a_model_answers_and_outlives_the_death_of_its_engine_and_of_its_keeper(
    make_box: Callable[..., Box], tmp_path: Path
) -> None:
    pytest.importorskip("xllamacpp")
    password = tmp_path / "password"
    password.write_text("hammer-and-anvil-7\n")
    box = make_box(MILLWRIGHT_ADMIN_PASSWORD_FILE=str(password), MILLWRIGHT_STANDIN_MODELS="tiny")

    def engines() -> set[int]:
        return set(processes_with(str(ENGINE), below=box.pids()["spawner"]))

    box.start()
    wait_for(lambda: ready(box), 60, "the box is ready")
    put_tiny(box)
    assert box.manage("models", "load", "tiny").returncode == 1
    models(box, "serve", "tiny", "--context", "1024", "--option", "threads=1", "--wait")
    assert models(box, "test", "tiny")["pieces"] > 0
    (engine,) = engines()
    os.kill(engine, signal.SIGKILL)
    wait_for(lambda: state(box) == "failed", 30, "the death of the engine was seen")
    models(box, "load", "tiny")
    wait_for(lambda: state(box) == "ready", 60, "it is loaded again")
    keeper = box.pids()["keeper"]
    os.kill(keeper, signal.SIGKILL)
    wait_for(lambda: not engines(), 30, "the engine has gone with its keeper")
    wait_for(lambda: box.pids().get("keeper", keeper) != keeper, 30, "the next keeper")
    assert models(box, "test", "tiny")["pieces"] > 0
    assert box.manage("allstop", "engage", "--level", "kill").returncode == 0
    wait_for(lambda: not engines(), 30, "no model is at work")
    refused = box.manage("models", "test", "tiny")
    assert refused.returncode == 1
    assert "the all-stop stands at kill" in refused.stderr
    assert box.manage("allstop", "release", "--reason", "over", "--as", "admin").returncode == 0
    assert models(box, "test", "tiny")["pieces"] > 0
    last = engines()
    assert last
    assert box.stop() == 0
    assert not last & set(processes_with(str(ENGINE)))
