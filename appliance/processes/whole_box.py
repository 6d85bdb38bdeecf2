"""The whole box: started part by part, and then left to the small process that attends to it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import NoReturn

from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from appliance.lib.config import ROOT, Config
from appliance.lib.errors import MillwrightError
from appliance.processes import attend
from appliance.processes.encoding import refuse_other
from appliance.processes.startup import Say, Startup

READY_SECONDS = 60.0


def _nothing() -> None:
    """Where nobody has anything to do then."""


@dataclass(frozen=True, slots=True)
class Occasions:
    """What whoever starts a box does meanwhile. ``furnish``: the tables are there, and no service has begun;
    ``tell``: all is up. Each raises MillwrightError: the box stops again."""

    furnish: Callable[[], None] = _nothing
    tell: Callable[[], None] = _nothing


def run_box(
    config: Config,
    tell: Say,
    occasions: Occasions,
    *,
    engines_only: bool = False,
    ready_fd: int | None = None,
) -> NoReturn:
    """Start it and stay, until Ctrl-C or SIGTERM. ``ready_fd``: where ``up`` is written when it is up.

    Raises CommandError where it does not come up; then nothing of it runs any more.
    """
    try:
        startup = Startup(config, tell)
    except MillwrightError as error:
        raise CommandError(str(error)) from error
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        _start(startup, config, tell, occasions, engines_only=engines_only)
    except (MillwrightError, CommandError, KeyboardInterrupt) as error:
        startup.stop()
        raise CommandError(str(error) or "stopped before everything was up") from error
    except BaseException:
        startup.stop()
        raise
    _stay(startup, ready_fd)


def _start(startup: Startup, config: Config, tell: Say, occasions: Occasions, *, engines_only: bool) -> None:
    startup.prepare(services=not engines_only)
    startup.start_manager()
    tell("Starting database, Redis and MQTT broker …")
    startup.start_engines()
    if not engines_only:
        startup.load_services()
    startup.await_engines()
    if engines_only:
        tell("The engines are up.")
        return
    _migrate()
    occasions.furnish()
    _load_examples(tell)
    _make_admin(config, tell)
    startup.let_services_begin()
    missing = startup.wait_ready(READY_SECONDS)
    if missing:
        tell(f"Not everything is ready yet: {missing}. Logs: {config.home.logs}")
    else:
        tell(f"Millwright is up: {config.public_url}")
    occasions.tell()
    tell(_setup_link())
    tell(f"Logs: {config.home.logs}   Stop: Ctrl-C, or make down")


def _stay(startup: Startup, ready_fd: int | None) -> NoReturn:
    """The small waiter takes this process's place: same pid, same child, a tenth of the memory."""
    assert startup.process is not None
    sys.stdout.flush()
    if ready_fd is not None:
        os.write(ready_fd, b"up")
        os.close(ready_fd)
    # Until it has its handlers: a signal in between waits, and is not lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, attend.STOPPING)
    command = [sys.executable, "-I", "-S", attend.__file__]
    command += [str(startup.process.pid), str(startup.manager.socket), *startup.broker_folder()]
    os.execve(command[0], command, {**os.environ, "MW_PASSWORD": startup.manager.password})  # noqa: S606


def _load_examples(tell: Say) -> None:
    """A box without any task gets the shipped examples once; they are ordinary tasks from then on."""
    from appliance.tasks.models import Task

    if Task.objects.exists():
        return
    said = StringIO()
    try:
        call_command("tasks", "apply", str(Path(ROOT) / "examples"), verbosity=0, stdout=said, stderr=said)
    except CommandError as error:
        # A box without examples is still a box.
        tell(f"The example tasks could not be loaded: {error}")
    for line in filter(str.strip, said.getvalue().splitlines()):
        tell(line)


def _make_admin(config: Config, tell: Say) -> None:
    """Of the password file, before the first page is served: else one could say that there is nobody yet."""
    from appliance.accounts.setup import ensure_admin

    if config.admin_password_file is None:
        return
    try:
        if ensure_admin(config.admin_password_file):
            tell("The user 'admin' was made with the password of the password file.")
    except MillwrightError as error:
        tell(f"There is no administrator yet: {error}")


def _setup_link() -> str:
    command = [sys.executable, str(ROOT / "manage.py"), "setup_link"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return f"The set-up link could not be made ({said}); run: .venv/bin/python manage.py setup_link"
    return done.stdout.strip()


def _migrate() -> None:
    """Bring the tables to this version. Only where one is behind: the command checks far more than that.

    Raises WrongEncoding.
    """
    refuse_other()
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0)
