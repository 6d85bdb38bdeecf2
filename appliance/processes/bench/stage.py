"""A box with a model that plays what it is told: the player in a process of its own, and the box's settings for it."""

import contextlib
import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import httpx

from appliance.inference.catalogue.manifest import Manifest, ModelFile
from appliance.inference.catalogue.repository import MANIFEST
from appliance.inference.domain import ModelFormat
from appliance.lib.config import ROOT
from appliance.lib.jsontypes import JsonObject
from appliance.processes.bench.box import Box
from appliance.processes.bench.player import Asked, Part

MODEL = "played"
SLOTS = 64


class Stage:
    """The player runs from entry to exit; ``settings`` are those of a box that may ask it, and asks no other."""

    def __init__(self) -> None:
        self.url = ""
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "appliance.processes.bench.player"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate(timeout=10)

    @property
    def settings(self) -> dict[str, str]:
        return {
            "MILLWRIGHT_MODELS": "refused",
            "MILLWRIGHT_STANDIN_MODELS": MODEL,
            "MILLWRIGHT_REMOTE_MODELS": self.url,
        }

    def serve(self, box: Box) -> None:
        """Into the box's repository, and live: it passes the tests that every model passes."""
        folder = box.config.home.models / MODEL / "1"
        folder.mkdir(parents=True, exist_ok=True)
        where = json.dumps({"url": self.url, "model": MODEL}).encode()
        (folder / "remote.json").write_bytes(where)
        file = ModelFile(path="remote.json", size=len(where), sha256=hashlib.sha256(where).hexdigest())
        manifest = Manifest(
            name=MODEL,
            version="1",
            format=ModelFormat.REMOTE,
            files=(file,),
            main="remote.json",
            context=32768,
            chat_template=True,
            added_at=datetime.now(UTC),
        )
        (folder / MANIFEST).write_text(manifest.model_dump_json())
        for path in (folder.parent, folder):
            path.chmod(0o755)
        for path in folder.iterdir():
            path.chmod(0o644)
        box.manage(
            "models", "serve", MODEL, "--context", "32768", "--slots", str(SLOTS), "--always", "--wait",
            seconds=180,
        )  # fmt: skip

    def play(self, part: Part) -> None:
        httpx.put(f"{self.url}/play", json=asdict(part), trust_env=False).raise_for_status()

    def asked(self, word: str = "") -> list[Asked]:
        """The questions of that part, of all without one, in the order in which they came."""
        found: list[dict[str, Any]] = httpx.get(f"{self.url}/asked", trust_env=False, timeout=30).json()
        return [Asked(**one) for one in found if word in ("", one["word"])]

    def wait(self, word: str, count: int, seconds: float, *, ended: bool = False) -> list[Asked]:
        """Until so many questions of that part have come (or have ended). Raises RuntimeError."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.asked(word)
            if sum(bool(one.ended) or not ended for one in found) >= count:
                return found
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(found)} of {count} questions came within {seconds:g} s")
            time.sleep(0.02)


def turn(*calls: tuple[str, JsonObject], say: str = "I look.") -> JsonObject:
    """The answer of a turn that calls tools."""
    wanted: list[Any] = [{"tool": name, "arguments": given, "why": "it helps"} for name, given in calls]
    return {"say": say, "calls": wanted, "done": False, "answer": "", "changed": False}


def end(answer: str = "All is done.", *, changed: bool = False) -> JsonObject:
    return {"say": "", "calls": [], "done": True, "answer": answer, "changed": changed}


@contextlib.contextmanager
def staged(box: Box, **otherwise: str) -> Iterator[Stage]:
    """The box restarted with a player; afterwards as it was, with the settings ``otherwise``."""
    with Stage() as stage:
        before = {name: box.environment.get(name) for name in stage.settings}
        box.restart(**stage.settings)
        try:
            stage.serve(box)
            yield stage
        finally:
            for name, value in before.items():
                if value is None:
                    box.environment.pop(name, None)
                else:
                    box.environment[name] = value
            box.restart(**otherwise)
