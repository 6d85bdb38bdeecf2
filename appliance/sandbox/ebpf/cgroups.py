"""Control groups (version 2) of jobs: one folder each, below one of the box's own."""

import contextlib
import os
import secrets
from pathlib import Path

from appliance.sandbox.ebpf.errors import NoKernelRules

PREFIX = "job-"


def tree_of(mount: Path, home_id: str) -> Path:
    """The box's own folder: every job of the process sandbox is below it."""
    return mount / f"millwright-{home_id}"


def make_tree(tree: Path) -> None:
    try:
        tree.mkdir(mode=0o755, exist_ok=True)
    except OSError as error:
        raise NoKernelRules(f"no control group can be made at {tree}: {error.strerror}") from error


def make(tree: Path) -> Path:
    """A fresh one. Raises NoKernelRules."""
    folder = tree / f"{PREFIX}{secrets.token_hex(8)}"
    try:
        folder.mkdir(mode=0o755)
    except OSError as error:
        raise NoKernelRules(f"no control group can be made at {folder}: {error.strerror}") from error
    return folder


def number_of(folder: Path) -> int:
    """By what the kernel knows it. Raises FileNotFoundError."""
    return folder.stat().st_ino


def present(tree: Path) -> list[Path]:
    return [folder for folder in tree.glob(f"{PREFIX}*") if folder.is_dir()]


def kill(folder: Path) -> None:
    """End every process in it; where it is gone, nothing."""
    with contextlib.suppress(OSError):
        (folder / "cgroup.kill").write_text("1")


def remove(folder: Path) -> bool:
    """Whether it is gone. It stays for as long as a process is in it, also a dead one that nobody waited for."""
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def of_container(mount: Path, pid: int, container: str) -> Path:
    """The control group that a container has for itself. Raises NoKernelRules where it has none."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError as error:
        raise NoKernelRules(f"the container's control group is not known: {error.strerror}") from error
    path = next((line.removeprefix("0::") for line in lines if line.startswith("0::")), "")
    folder = mount / path.lstrip("/")
    if container not in path or not folder.is_dir():
        raise NoKernelRules("the container engine gives containers no control group (version 2) of their own")
    return folder


def open_folder(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
