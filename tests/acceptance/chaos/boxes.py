"""Boxes to be hurt, and how their parts are stopped, killed and started."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from appliance.lib.config import read_config
from appliance.processes import control
from appliance.processes.bench.box import Box
from appliance.processes.manager import Manager
from tests.acceptance.box import ADMIN_PASSWORD, HOOK_TOKEN, House
from tests.acceptance.crashes.tasks import tasks_writing_to
from tests.wait import wait_for


def made(home: Path | None = None, kind: type[Box] = Box, **settings: str) -> Box:
    """Not started yet; ``effects`` beside its home is where its commands leave what they did."""
    box = kind(home, **settings)
    password = box.home.parent / "admin.password"
    password.write_text(ADMIN_PASSWORD)
    box.environment["MILLWRIGHT_ADMIN_PASSWORD_FILE"] = str(password)
    box.config = read_config(box.environment)
    effects = box.home.parent / "effects"
    effects.mkdir(exist_ok=True)
    effects.chmod(0o777)
    return box


@contextmanager
def began(box: Box, tasks: str = "") -> Iterator[House]:
    """The box running, with the tasks of the crash tests and ``tasks``; stopped afterwards."""
    with box:
        house = House(box)
        house.put_secret("crash", HOOK_TOKEN)
        house.load(tasks_writing_to(box.home.parent / "effects") + tasks, "chaos")
        wait_for(lambda: house.runs_of("clockwork"), 60, "the first tick")
        yield house


def pid_of(box: Box, part: str) -> int:
    """Of a part as the process manager has it; 0 where it does not run."""
    return next((found.pid for found in Manager(box.config.home).parts() if found.name == part), 0)


def kill(box: Box, part: str) -> None:
    """As the kernel does it. The process manager starts it again by itself; this does not wait for that."""
    with suppress(ProcessLookupError):
        if pid := pid_of(box, part):
            os.kill(pid, signal.SIGKILL)


def kill_and_wait(box: Box, part: str) -> None:
    """And until another life of it runs."""
    before = pid_of(box, part)
    kill(box, part)
    wait_for(lambda: pid_of(box, part) not in (0, before), 60, f"{part} runs again")


def stop(box: Box, part: str) -> None:
    """In order, and it stays so until ``start``."""
    manager = Manager(box.config.home)
    control.call(manager.socket, manager.password, "stopProcess", part)


def start(box: Box, part: str) -> None:
    Manager(box.config.home).start(part)


def database_answers(box: Box) -> bool:
    try:
        psycopg.connect(box.config.database_url, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
