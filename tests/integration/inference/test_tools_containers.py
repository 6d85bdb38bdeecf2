"""Safetensors with fewer bits: real containers by a real guard, with stand-ins of the tools in them."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from appliance.inference.catalogue.inspecting import inspect_path
from appliance.inference.catalogue.progress import Progress
from appliance.inference.catalogue.space import Space
from appliance.inference.errors import (
    EngineAbsent,
    ImportInterrupted,
    ModelRefused,
    ModelUnavailable,
)
from appliance.inference.quantise.by_container import keep, made_by, require_tools
from appliance.inference.quantise.containers import ToolJob, for_trtllm, to_gguf
from appliance.inference.quantise.recipe import Recipe
from appliance.lib.config import ROOT
from appliance.lib.home import Home
from tests.container_engine import PrivateEngine
from tests.guard import RunningGuard, no_engine, start_guard
from tests.standins.model_tools import build, checkpoint
from tests.wait import wait_for

SPACE = Space(reserve=0)


@pytest.fixture(scope="module")
def images(container_engine: PrivateEngine) -> dict[str, str]:
    return {tool: build(container_engine, tool) for tool in ("llamacpp-tools", "modelopt")}


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="mw-tools-"))  # /tmp is the container's own there
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def guard(place: Path, container_engine: PrivateEngine, images: dict[str, str]) -> Iterator[RunningGuard]:
    texts = place / "texts"
    texts.mkdir()
    (texts / "some.jsonl").write_text("{}\n")
    named = ",".join(f"{tool}=1@{image}" for tool, image in images.items())
    running = start_guard(
        place, container_engine, MILLWRIGHT_MODEL_IMAGES=named, MILLWRIGHT_CONTAINER_READS=str(texts)
    )
    yield running
    running.stop()


def gguf_job(given: Path, images: dict[str, str]) -> ToolJob:
    return to_gguf(given, given.parent / "out", Recipe.Q4_K_M, 1000, images["llamacpp-tools"])


def convert(
    guard: RunningGuard,
    images: dict[str, str],
    given: Path,
    within: float = 60.0,
    seen: list[Progress] | None = None,
) -> int:
    """The size of what was made, in bytes."""
    heard = [] if seen is None else seen
    facts = inspect_path(given)
    with made_by(
        gguf_job(given, images), given, facts, guard.home, space=SPACE, needs=0, within=within,
        on_progress=heard.append,
    ) as made:  # fmt: skip
        assert made.facts.architecture == "llama"
        return sum((made.folder / name).stat().st_size for name in made.facts.files)


def left(guard: RunningGuard) -> list[str]:
    """What is on its way still."""
    return [one.name for one in (guard.home.models / ".incoming").glob("*")]


def test_the_converter_makes_a_file_that_reads_and_nothing_else_stays(
    guard: RunningGuard, images: dict[str, str], place: Path
) -> None:
    given = checkpoint(place / "good")
    before = {path.name: path.read_bytes() for path in given.iterdir()}
    seen: list[Progress] = []
    assert convert(guard, images, given, seen=seen) > 1_000_000
    assert {path.name: path.read_bytes() for path in given.iterdir()} == before
    assert [one.done for one in seen if one.stage == "converting"][-1] == 100
    assert left(guard) == []
    wait_for(lambda: guard.containers() == [], 10, "no container is left")


@pytest.mark.parametrize(
    ("how", "error", "said"),
    [
        ("fails", ModelRefused, "ended with status 1: ValueError: Model NoSuchForCausalLM"),
        ("nothing", ModelRefused, "has made nothing"),
        ("full", ImportInterrupted, "the disk is too full"),
        ("killed", ModelUnavailable, "was killed"),
        ("garbage", ModelRefused, "what llamacpp-tools has made is none"),
        ("link", ModelRefused, "is a link"),
    ],
)
def test_each_way_to_fail_is_told_and_leaves_nothing(
    guard: RunningGuard, images: dict[str, str], place: Path, how: str, error: type[Exception], said: str
) -> None:
    given = checkpoint(place / how, how)
    with pytest.raises(error, match=said):
        convert(guard, images, given)
    assert left(guard) == []


def test_one_that_takes_too_long_is_ended(guard: RunningGuard, images: dict[str, str], place: Path) -> None:
    with pytest.raises(ModelUnavailable, match="took too long"):
        convert(guard, images, checkpoint(place / "slow", "slow"), within=1.0)
    wait_for(lambda: guard.containers() == [], 10, "no container is left")


def test_it_ends_with_whoever_asked_for_it(guard: RunningGuard, images: dict[str, str], place: Path) -> None:
    given = checkpoint(place / "left", "slow")
    wait_for(lambda: guard.containers() == [], 15, "no job of another test is left")
    process = subprocess.Popen(command(guard, images, given, place / "never"), env=environment(guard, images))
    wait_for(lambda: len(guard.containers()) == 1, 30, "the tool runs")
    process.kill()
    process.wait()
    wait_for(lambda: guard.containers() == [], 15, "it has gone with its caller")
    assert len(left(guard)) == 1
    convert(guard, images, checkpoint(place / "next"))
    assert left(guard) == []  # the next job clears up


def test_the_all_stop_ends_it(guard: RunningGuard, images: dict[str, str], place: Path) -> None:
    given = checkpoint(place / "stopped", "slow")
    stop = guard.home.path / "ALLSTOP"

    def engage() -> None:
        wait_for(lambda: len(guard.containers()) == 1, 30, "the tool runs")
        stop.write_text("kill\n")

    thread = threading.Thread(target=engage)
    thread.start()
    try:
        with pytest.raises(ModelUnavailable, match="was stopped"):
            convert(guard, images, given)
    finally:
        thread.join()
        stop.unlink()


def test_model_optimizers_job_makes_a_checkpoint_that_is_kept(
    guard: RunningGuard, images: dict[str, str], place: Path
) -> None:
    given = checkpoint(place / "four")
    job = for_trtllm(
        given, place / "awq", 4, 1000, blackwell=False, calibration=place / "texts", image=images["modelopt"]
    )
    with made_by(job, given, inspect_path(given), guard.home, space=SPACE, needs=0) as made:
        assert made.facts.quantisation == "w4a16_awq"
        kept = keep(made, place / "awq")
    assert {path.name for path in kept} == {"model.safetensors", "config.json", "hf_quant_config.json"}
    assert inspect_path(place / "awq").quantisation == "w4a16_awq"


def test_another_image_another_program_and_another_folder_are_refused(
    guard: RunningGuard, images: dict[str, str], place: Path, container_engine: PrivateEngine
) -> None:
    given = checkpoint(place / "refused")
    facts, job = inspect_path(given), gguf_job(given, images)

    def refused(job: ToolJob) -> str:
        with (
            pytest.raises(ModelRefused) as caught,
            made_by(job, given, facts, guard.home, space=SPACE, needs=0),
        ):
            pass
        return str(caught.value)

    assert "MILLWRIGHT_MODEL_IMAGES" in refused(replace(job, image=container_engine.image))
    assert "and nothing else" in refused(replace(job, argv=("/bin/sh", "-c", "id")))
    assert "no such option" in refused(replace(job, argv=(*job.argv[:-1], "--remote", "x", job.argv[-1])))
    assert "environment" in refused(replace(job, environment={"PYTHONPATH": "/input"}))
    outside = for_trtllm(
        given, place / "x", 4, 1000, blackwell=False, calibration=guard.home.secrets, image=images["modelopt"]
    )
    assert "does not lie below a folder" in refused(outside)


def environment(guard: RunningGuard, images: dict[str, str]) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "MILLWRIGHT_HOME": str(guard.home.path),
        "MILLWRIGHT_ENV_FILE": os.devnull,
        "MILLWRIGHT_MODEL_IMAGES": f"llamacpp-tools=1@{images['llamacpp-tools']}",
    }


def command(guard: RunningGuard, images: dict[str, str], given: Path, output: Path) -> list[str]:
    words = ["--input", str(given), "--output", str(output), "--bits", "4", "--keep-free-gb", "0"]
    return [sys.executable, str(ROOT / "manage.py"), "quantize", *words, "--no-trial", "--json"]


def test_the_briefs_command_takes_safetensors_down_to_four_bits(
    guard: RunningGuard, images: dict[str, str], place: Path
) -> None:
    pytest.importorskip("xllamacpp")
    given = checkpoint(place / "whole")
    done = subprocess.run(
        command(guard, images, given, place / "4bit"), env=environment(guard, images),
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["input"], told["output"]) == (str(given), str(place / "4bit/whole-Q4_K_M.gguf"))
    assert inspect_path(place / "4bit").quantisation == "Q4_K_M"
    assert left(guard) == []


def test_without_a_container_engine_it_is_refused_with_what_to_do(tmp_path: Path) -> None:
    home = Home.at(tmp_path / "home")
    with pytest.raises(EngineAbsent, match="tools container, which needs a container engine") as none:
        require_tools(home)
    assert "--show-job" in (none.value.hint or "")
    running = start_guard(tmp_path, no_engine(tmp_path))
    try:
        with pytest.raises(EngineAbsent, match="no Docker engine") as without:
            require_tools(running.home)
        assert "apt-get install docker.io" in (without.value.hint or "")
    finally:
        running.stop()
