"""The disk of the home full, under load: the box says so, loses nothing, and goes on by itself when there is room."""

import errno
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.box import House
from tests.acceptance.chaos.boxes import began, made
from tests.acceptance.chaos.conftest import print_logs
from tests.acceptance.chaos.load import under_load
from tests.acceptance.crashes.tasks import Notebook
from tests.wait import wait_for

DISK_MIB = 400
LOW = 120_000_000
"""Bytes below which the box is to say that its disk is low."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root"),
    pytest.mark.skipif(not shutil.which("mkfs.ext4"), reason="needs mkfs.ext4"),
]


def run(*command: str | Path) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.strip())


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """An ext4 of its own, mounted."""
    with tempfile.TemporaryDirectory(prefix="mw-disk-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        image, mounted = folder / "disk.img", folder / "home"
        mounted.mkdir()
        with image.open("wb") as file:
            file.truncate(DISK_MIB * 1024 * 1024)
        run("mkfs.ext4", "-q", "-m", "0", image)
        try:
            run("mount", "-o", "loop", image, mounted)
        except OSError as error:
            pytest.skip(f"a small disk cannot be mounted here: {error}")
        try:
            (mounted / "lost+found").rmdir()
            yield mounted
        finally:
            run("umount", "-l", mounted)


def free(disk: Path) -> int:
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


def fill(disk: Path, leave: int = 0) -> None:
    """A ballast file that leaves so many bytes, or none at all."""
    try:
        with (disk / "ballast").open("ab", buffering=0) as ballast:
            while (room := free(disk) - leave) > 0:
                ballast.write(bytes(min(room, 1024 * 1024)))
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


def readyz(house: House) -> str:
    try:
        return httpx.get(f"{house.address}/readyz", timeout=10, trust_env=False).text
    except httpx.HTTPError as error:
        return repr(error)


def disk_part(house: House) -> dict[str, Any]:
    """As ``/readyz`` has it; empty where that does not answer."""
    try:
        found = json.loads(readyz(house))["parts"]["disk"]
    except (KeyError, ValueError):
        return {}
    return {
        "healthy": found["healthy"],
        "required": found["required"],
        "word": found["message"].split(":")[0],
    }


def told(house: House) -> list[tuple[bool, str]]:
    rows = house.sql(
        "SELECT data FROM events_event WHERE type = 'part.health' AND data ->> 'part' = 'disk' ORDER BY seq"
    )
    return [(row["data"]["healthy"], row["data"]["message"].split(":")[0]) for row in rows]


def test_a_full_disk_is_told_and_survived(small_disk: Path) -> None:
    box = made(small_disk, MILLWRIGHT_DISK_FREE=str(LOW))
    notebook = Notebook(box.home.parent / "effects")
    with began(box) as house:
        try:
            full_for_a_while(house, small_disk, notebook)
        except BaseException:
            print(f"{free(small_disk)} bytes free; the box says {readyz(house)}")
            print_logs(box.home)
            raise


def full_for_a_while(house: House, disk: Path, notebook: Notebook) -> None:
    assert disk_part(house)["healthy"]
    with under_load(house, notebook) as load:
        fill(disk, LOW // 2)
        low = {"healthy": False, "required": False, "word": "low"}
        wait_for(lambda: disk_part(house) == low, 30, "the box says that its disk is low")
        assert house.box.ready(), "with a low disk it still works"
        wait_for(lambda: told(house) == [(False, "low")], 40, "and tells of it, once")
        with house.admin() as browser:
            assert "MILLWRIGHT_DISK_FREE" in browser.get("/").text
        fill(disk)
        full = {"healthy": False, "required": True, "word": "full"}
        wait_for(lambda: disk_part(house) == full, 30, "the box says that its disk is full")
        keep_full(disk, 10)
        (disk / "ballast").unlink()
        wait_for(lambda: disk_part(house).get("healthy"), 30, "the box says that there is room again")
        house.wait_ready(90)
        load.goes_on()
        wait_for(lambda: len(told(house)) == 2, 30, "and tells of it")
    assert told(house)[-1][0]


def keep_full(disk: Path, seconds: int) -> None:
    """What is given back meanwhile is filled again."""
    for _ in range(seconds * 4):
        fill(disk)
        subprocess.run(["sleep", "0.25"], check=True)
