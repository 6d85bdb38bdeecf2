"""Requests that guard must not take, however they come in."""

import json
import os
import socket
import stat
import subprocess
import sys
from typing import Any

import pytest

from appliance.processes.layout import pid_folder
from appliance.sandbox.process import wire
from tests.guard import note_spawner
from tests.integration.sandbox.docker.conftest import Inside
from tests.spawner import JOB_UID

IMAGE = f"sha256:{'a' * 64}"
GOOD: dict[str, Any] = {
    "verb": "run", "template": "strict", "image": IMAGE, "argv": ["true"], "env": {}, "timeout": 5.0, "reads": [],
    "writes": [], "output_limit": 100, "live": False, "checkpoint": None, "run": "", "step": "", "limits": {
        "memory": 1 << 28, "processes": 9, "open_files": 64, "file_bytes": 0, "cpu_seconds": None,
    },
}  # fmt: skip


def ask(inside: Inside, raw: bytes) -> tuple[bytes, dict[str, Any]]:
    """The kind of the answer, and what it says."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(15)
        connection.connect(str(inside.guard.home.guard_socket))
        if raw:
            connection.sendall(raw)
        heard = b""
        while piece := connection.recv(65536):
            heard += piece
    return heard[:1], json.loads(heard[wire.HEADER.size :])


def request(**changes: object) -> bytes:
    return wire.frame(wire.REQUEST, json.dumps(GOOD | changes).encode())


def test_the_good_one_is_taken_as_far_as_its_image(inside: Inside) -> None:
    kind, said = ask(inside, request())
    assert (kind, "is not on this box" in said["message"]) == (wire.REFUSED, True)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"privileged": True}, "privileged"),
        ({"binds": ["/:/host"]}, "binds"),
        ({"HostConfig": {"Privileged": True}}, "HostConfig"),
        ({"cap_add": ["SYS_ADMIN"]}, "cap_add"),
        ({"security_opt": ["seccomp=unconfined"]}, "security_opt"),
        ({"network": "host"}, "network"),
        ({"user": "0:0"}, "user"),
        ({"workdir": "/"}, "workdir"),
        ({"template": "privileged"}, "template"),
        ({"template": {"network": "host"}}, "template"),
        ({"image": "debian:latest"}, "image"),
        ({"image": "debian"}, "image"),
        ({"image": IMAGE[:-1]}, "image"),
        ({"image": f"{IMAGE}\n"}, "image"),
        ({"image": f"../{IMAGE}"}, "image"),
        ({"argv": []}, "argv"),
        ({"argv": "true"}, "argv"),
        ({"argv": ["a\0b"]}, "argv"),
        ({"env": {"A=B": "x"}}, "env"),
        ({"env": {"a; id": "x"}}, "env"),
        ({"env": {"A\n": "x"}}, "env"),
        ({"env": {"": "x"}}, "env"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": 1e9}, "timeout"),
        ({"timeout": "5"}, "timeout"),
        ({"reads": ["etc"]}, "reads"),
        ({"writes": ["/srv/../etc"]}, "writes"),
        ({"limits": {**GOOD["limits"], "memory": -1}}, "limits"),
        ({"limits": {**GOOD["limits"], "swap": 1}}, "limits"),
        ({"output_limit": 1 << 40}, "output_limit"),
        ({"run": "../../x"}, "run"),
        ({"step": "a\0"}, "step"),
        ({"live": 1}, "live"),
        ({"verb": "create"}, "request"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_forged_request_is_refused_at_its_place(
    inside: Inside, changes: dict[str, Any], place: str
) -> None:
    kind, said = ask(inside, request(**changes))
    assert kind == wire.REFUSED
    assert place in said["message"]


@pytest.mark.parametrize(
    "raw",
    [
        wire.frame(wire.REQUEST, b"not json"),
        wire.frame(wire.REQUEST, b"[" * 100_000),
        wire.frame(wire.REQUEST, b'"run"'),
        wire.frame(wire.REQUEST, b"null"),
        wire.frame(wire.PROBE, b""),
        wire.frame(b"?", b"{}"),
        b"GET /containers/json HTTP/1.1\r\n\r\n",
        wire.HEADER.pack(wire.REQUEST, wire.MAX_REQUEST + 1),
        wire.HEADER.pack(wire.REQUEST, 0xFFFFFFFF) + b"x" * 1000,
    ],
    ids=range(9),
)
def test_nonsense_and_oversized_frames_are_refused(inside: Inside, raw: bytes) -> None:
    kind, _ = ask(inside, raw)
    assert kind == wire.REFUSED


def test_none_of_it_made_a_container(inside: Inside) -> None:
    kind, said = ask(inside, wire.frame(wire.REQUEST, b'{"verb": "list"}'))
    assert (kind, said["jobs"]) == (wire.FACTS, [])


@pytest.mark.parametrize("noted", [None, "", "1", "{pid} 0", "{gone} 1"], ids=range(5))
def test_while_the_spawner_is_not_known_nobody_gets_in_where_jobs_are_the_same_user(
    inside: Inside, noted: str | None
) -> None:
    """Whoever asks could be one of its jobs. (This home is root's, and so is its guard.)"""
    file = pid_folder(inside.guard.home) / "spawner"
    before = file.read_text()
    with subprocess.Popen(["/bin/true"]) as ended:
        ended.wait()
    try:
        if noted is None:
            file.unlink()
        else:
            file.write_text(noted.format(pid=inside.guard.process.pid, gone=ended.pid))
        kind, said = ask(inside, b"")  # who asks is looked at before what
    finally:
        file.write_text(before)
    assert (kind, "the spawner does not run" in said["message"]) == (wire.UNAVAILABLE, True)
    assert ask(inside, wire.frame(wire.REQUEST, b'{"verb": "list"}'))[0] == wire.FACTS


def test_a_job_of_the_spawner_does_not_get_in(inside: Inside) -> None:
    try:
        note_spawner(inside.guard.home, os.getpid())
        kind, said = ask(inside, b"")  # who asks is looked at before what
    finally:
        note_spawner(inside.guard.home, inside.guard.process.pid)
    assert (kind, said["message"]) == (wire.REFUSED, "A job cannot have another job run.")


def test_the_door_is_for_its_owner_alone(inside: Inside) -> None:
    assert stat.S_IMODE(inside.guard.home.guard_socket.stat().st_mode) == 0o600


def test_another_user_is_refused_even_where_the_door_lets_it_in(inside: Inside) -> None:
    door = inside.guard.home.guard_socket
    code = (
        "import os, socket, sys; s = socket.socket(socket.AF_UNIX); os.chdir(sys.argv[1]);"
        "os.setuid(int(sys.argv[2])); s.connect('guard.sock'); print(s.makefile('rb').read())"
    )
    modes = {path: path.stat().st_mode for path in (door, door.parent, inside.guard.home.path)}
    try:
        for path in modes:
            path.chmod(0o777)
        argv = [sys.executable, "-c", code, str(door.parent), str(JOB_UID + 1)]
        done = subprocess.run(argv, capture_output=True, timeout=20)
    finally:
        for path, mode in modes.items():
            path.chmod(stat.S_IMODE(mode))
    assert os.geteuid() == 0
    assert b"may not have jobs run here" in done.stdout
