"""A real, private Docker engine for tests, with one image made of busybox: no registry is asked for anything."""

import ctypes
import functools
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import NoReturn

import docker
import pytest

START_SECONDS = 60.0
BUSYBOX = "busybox"
_FOLDERS = ("bin", "usr", "usr/bin", "etc", "proc", "sys", "dev", "tmp", "var", "data", "setuid")
_NEW_NETWORK = 0x40000000
_MODES = {"tmp": 0o1777, "data": 0o777}


@dataclass(frozen=True, slots=True)
class PrivateEngine:
    """``image`` is the id of one with busybox in it, ``pid`` the engine's process."""

    url: str
    pid: int
    image: str

    @contextmanager
    def client(self) -> Iterator[docker.APIClient]:
        with closing(docker.APIClient(self.url, version="1.41", timeout=600)) as client:
            yield client

    def inside_network(self, *command: str) -> list[str]:
        """The command line that runs ``command`` where this engine's networks are."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *command]

    @contextmanager
    def entered(self) -> Iterator[None]:
        """The sockets that this thread makes meanwhile are where this engine's networks are."""
        libc = ctypes.CDLL(None, use_errno=True)
        with (
            Path("/proc/thread-self/ns/net").open() as own,
            Path(f"/proc/{self.pid}/ns/net").open() as there,
        ):
            if libc.setns(there.fileno(), _NEW_NETWORK):
                raise OSError(ctypes.get_errno(), "the engine's networks cannot be entered")
            try:
                yield
            finally:
                libc.setns(own.fileno(), _NEW_NETWORK)


class EngineAway(Exception):
    """No engine can be started here; the text says why."""


@functools.cache
def why_no_engine() -> str:
    """Why there can be no engine here; empty when there can."""
    if os.geteuid() != 0:
        return "a private Docker engine needs root"
    missing = [
        name for name in ("dockerd", "containerd", "runc", "docker-init", BUSYBOX) if not shutil.which(name)
    ]
    if missing:
        return f"no {', '.join(missing)} here (apt-get install docker.io busybox-static)"
    if "statically linked" not in _linkage(shutil.which(BUSYBOX) or ""):
        return "busybox is not static here (apt-get install busybox-static)"
    return ""


def no_engine(reason: str) -> NoReturn:
    """End the test that needs an engine: skipped with the reason, but where every test must run it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"tests of containers must run here: {reason}", pytrace=False)
    pytest.skip(reason)


_NO_NETWORK = (
    "--bridge=none",
    "--iptables=false",
    "--ip6tables=false",
    "--ip-forward=false",
    "--ip-masq=false",
)
# As on a machine whose resolver is its own, which engines then ask for their containers.
_RESOLVER = "nameserver 127.0.0.1\n"
_OWN_NETWORK = """
ip link set lo up; mount --bind "$0" /etc/resolv.conf; exec "$@"
"""


@contextmanager
def private_engine(*, networks: bool = False) -> Iterator[PrivateEngine]:
    """Start an engine with folders, sockets and containerd of its own; all of it goes at the end.

    With ``networks`` it has real ones, in a network namespace of its own that leads nowhere: its bridges and
    packet filters never meet the machine's. ``inside_network`` runs a command there. Raises EngineAway.
    """
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="mw-eng-"))
    url, log = f"unix://{folder}/d.sock", folder / "log"
    argv = [
        *(("unshare", "--net", "--mount", "sh", "-ec", _OWN_NETWORK, f"{folder}/resolv.conf") if networks else ()),
        "dockerd", "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "-H", url,
        "--pidfile", f"{folder}/pid", "--config-file", f"{folder}/none.json",
        *(() if networks else _NO_NETWORK),
    ]  # fmt: skip
    (folder / "none.json").write_text("{}")
    (folder / "resolv.conf").write_text(_RESOLVER)
    with log.open("wb") as out:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    try:
        _wait(process, url, log)
        with closing(docker.APIClient(url, version="1.41")) as client:
            image = import_image(client, busybox_image())
        yield PrivateEngine(url, process.pid, image)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _unmount_below(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    """It listens when it is ready. Not by the library: one that fails to connect leaves its socket open."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(url.removeprefix("unix://")) == 0:
                return
        if process.poll() is not None or time.monotonic() > deadline:
            raise EngineAway(f"the engine did not start: {log.read_text()[-2000:]}")
        time.sleep(0.05)


def _unmount_below(folder: Path) -> None:
    """What an engine that had to be killed leaves mounted."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    for place in sorted((line.split()[1] for line in lines), reverse=True):
        if place.startswith(f"{folder}/"):
            subprocess.run(["umount", "-l", place], check=False)


def import_image(client: docker.APIClient, content: bytes, *changes: str) -> str:
    """``docker import``: the id of an image that holds just these files."""
    said = client.import_image_from_data(content, changes=list(changes) or None)
    return str(json.loads(said.strip().splitlines()[-1])["status"])


def busybox_image(*, shell: bool = True, links: Mapping[str, str] = MappingProxyType({})) -> bytes:
    """A tar of busybox under all of its names, in /bin and /usr/bin, with a setuid copy; or of nothing that runs.

    ``links``: paths (without the first slash) of symbolic links, and where they lead.
    """
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name in _FOLDERS:
            tar.addfile(_entry(name, tarfile.DIRTYPE, _MODES.get(name, 0o755)))
        _file(tar, "etc/passwd", b"root:x:0:0:root:/:/bin/sh\n", 0o644)
        _file(tar, "etc/secret", b"of the image's root\n", 0o600)
        for name, target in links.items():
            _link(tar, name, target)
        if shell:
            binary = Path(shutil.which(BUSYBOX) or "").read_bytes()
            _file(tar, "bin/busybox", binary, 0o755)
            _file(tar, "setuid/busybox", binary, 0o4755)
            for name in subprocess.check_output([BUSYBOX, "--list"], text=True).split():
                for folder in ("bin", "usr/bin"):
                    if f"{folder}/{name}" != "bin/busybox":
                        _link(tar, f"{folder}/{name}", "/bin/busybox")
    return content.getvalue()


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = kind, mode
    return entry


def _link(tar: tarfile.TarFile, name: str, target: str) -> None:
    entry = _entry(name, tarfile.SYMTYPE, 0o777)
    entry.linkname = target
    tar.addfile(entry)


def _file(tar: tarfile.TarFile, name: str, data: bytes, mode: int) -> None:
    entry = _entry(name, tarfile.REGTYPE, mode)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def _linkage(path: str) -> str:
    """``file`` may not be installed: an ELF file without an interpreter is static."""
    return "" if b"/lib64/ld-linux" in Path(path).read_bytes()[:4096] else "statically linked"
