"""A guard without a container engine: the verbs about models over its real protocol, each container a process."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from appliance.sandbox.docker.model_blueprint import WORK
from appliance.sandbox.docker.model_request import (
    ModelList,
    ModelLog,
    ModelLook,
    ModelStart,
    ModelStop,
)
from appliance.sandbox.docker.request import parse_request
from appliance.sandbox.process import wire
from appliance.sandbox.process.request import Refused

SERVE = Path(__file__).with_name("trtllm") / "trtllm_serve.py"
_PROGRAMS = {
    "trtllm-serve": (sys.executable, "-I", str(SERVE)),
    "/app/llama-server": (sys.executable, "-I", str(Path(__file__).with_name("llama_server.py"))),
}


@dataclass
class _Made:
    request: ModelStart
    process: "subprocess.Popen[bytes]"
    log: Path
    port: int
    out_of_memory: bool = False
    at: str = field(default_factory=lambda: datetime.now(UTC).isoformat())


class GuardOfModels:
    """``with GuardOfModels(folder, home_id) as guard: guard.door``. ``images`` are those that are "here"."""

    def __init__(self, folder: Path, home_id: str, images: dict[str, str]) -> None:
        self.door = folder / "guard.sock"
        self._folder = folder
        self._home_id = home_id
        self._images = images
        """The engine's name by the image."""
        self.made: dict[str, _Made] = {}
        self._listener = socket.socket(socket.AF_UNIX)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self.door.unlink(missing_ok=True)
        self._listener.bind(str(self.door))
        self._listener.listen(64)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close_door()
        for name in list(self.made):
            self._stop(name, 0)

    def close_door(self) -> None:
        """It dies; what it made lives on."""
        if self._thread.is_alive():
            self._listener.shutdown(socket.SHUT_RDWR)
            self._thread.join(5)
        self._listener.close()

    def kill(self, name: str, number: signal.Signals, *, out_of_memory: bool = False) -> None:
        """The kernel ends what runs in a container."""
        made = self.made[name]
        made.out_of_memory = out_of_memory
        made.process.send_signal(number)
        made.process.wait()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                connection.sendall(self._answered(connection))

    def _answered(self, connection: socket.socket) -> bytes:
        kind, length = wire.HEADER.unpack(connection.recv(wire.HEADER.size, socket.MSG_WAITALL))
        assert kind == wire.REQUEST
        raw = connection.recv(length, socket.MSG_WAITALL)
        try:
            return wire.frame(wire.FACTS, json.dumps(self._answer(raw)).encode())
        except Refused as error:
            return wire.frame(
                wire.REFUSED, json.dumps({"message": error.message, "hint": error.hint}).encode()
            )

    def _answer(self, raw: bytes) -> dict[str, Any]:
        match request := parse_request(raw):
            case ModelStart():
                return self._start(request)
            case ModelStop():
                self._stop(request.name, request.grace)
                return {"stopped": True}
            case ModelLook():
                return self._look(request.name)
            case ModelLog():
                log = self.made[request.name].log.read_text(errors="replace")
                return {"log": "\n".join(log.splitlines()[-request.lines :])}
            case ModelList():
                return {"models": [self._look(name) for name in self.made]}
        return {"healthy": True, "absent": "", "message": ""}

    def _start(self, request: ModelStart) -> dict[str, Any]:
        name = f"mw-{self._home_id}-{request.model}-g{request.generation}"
        if request.image not in self._images:
            raise Refused(f"The image {request.image} is not on this box.", f"`docker pull {request.image}`")
        if name in self.made:
            if self.made[name].request != request:
                raise Refused(f"There is another container of the name {name}.")
            return self._look(name)
        work = self._folder / name
        work.mkdir()
        for file, text in request.files.items():
            (work / file).write_text(text)
        port = _free_port()
        log = work / "log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                self._command(request, work, port), stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        self.made[name] = _Made(request, process, log, port)
        return self._look(name)

    def _command(self, request: ModelStart, work: Path, port: int) -> list[str]:
        """As the container has it, with the places of this machine."""
        places = {f"/models/{request.model}": str(request.folder), str(request.port): str(port)}
        inside = f"/models/{request.model}/"
        words = [
            places.get(word, word.replace(f"{WORK}/", f"{work}/").replace(inside, f"{request.folder}/"))
            for word in request.argv[1:]
        ]
        return [*_PROGRAMS[request.argv[0]], *words]

    def _stop(self, name: str, grace: float) -> None:
        made = self.made.pop(name, None)
        if made is None:
            return
        made.process.terminate() if grace else made.process.kill()
        try:
            made.process.wait(grace or 10)
        except subprocess.TimeoutExpired:
            made.process.kill()
            made.process.wait()
        shutil.rmtree(made.log.parent)

    def _look(self, name: str) -> dict[str, Any]:
        made = self.made.get(name)
        if made is None:
            return {"name": name, "state": "absent"}
        status = made.process.poll()
        lines = made.log.read_text(errors="replace").splitlines()
        return {
            "name": name,
            "id": name,
            "model": made.request.model,
            "generation": made.request.generation,
            "engine": self._images[made.request.image],
            "plan": made.request.plan,
            "state": "running" if status is None else "exited",
            "started_at": made.at,
            "exit_status": 0 if status is None else status if status >= 0 else 128 - status,
            "out_of_memory": made.out_of_memory,
            "error": "",
            "address": "127.0.0.1" if status is None else "",
            "port": made.port,
            "progress": f"{len(lines)} {lines[-1]}" if lines else "",
            "memory": 1 << 20,
        }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
