"""``manage.py up``: the whole box."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from appliance.lib.config import ROOT, Config, get_config
from appliance.lib.errors import MillwrightError
from appliance.processes import attend
from appliance.processes.detach import start_detached
from appliance.processes.encoding import refuse_other
from appliance.processes.startup import Startup

READY_SECONDS = 60.0


class Command(BaseCommand):
    help = "Start the box: database, Redis, MQTT broker, then the services. Ctrl-C stops everything in order."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--engines-only", action="store_true", help="start database, Redis and broker only"
        )
        parser.add_argument(
            "--detach", action="store_true", help="return when the box is up, and leave it running"
        )
        parser.add_argument("--ready-fd", type=int, help="for --detach: where to say that the box is up")

    def handle(
        self, *, engines_only: bool = False, detach: bool = False, ready_fd: int | None = None, **options: Any
    ) -> None:
        try:
            config = get_config()
            if detach:
                self._say(start_detached(config, ["--engines-only"] if engines_only else []))
                return
            startup = Startup(config, self._say)
        except MillwrightError as error:
            raise CommandError(str(error)) from error
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            self._start(startup, config, engines_only)
        except (MillwrightError, CommandError, KeyboardInterrupt) as error:
            startup.stop()
            raise CommandError(str(error) or "stopped before everything was up") from error
        except BaseException:
            startup.stop()
            raise
        self._stay(startup, ready_fd)

    def _start(self, startup: Startup, config: Config, engines_only: bool) -> None:
        startup.prepare(services=not engines_only)
        startup.start_manager()
        self._say("Starting database, Redis and MQTT broker …")
        startup.start_engines()
        if not engines_only:
            startup.load_services()
        startup.await_engines()
        if engines_only:
            self._say("The engines are up.")
            return
        _migrate()
        self._load_examples()
        self._make_admin(config)
        startup.let_services_begin()
        missing = startup.wait_ready(READY_SECONDS)
        if missing:
            self._say(f"Not everything is ready yet: {missing}. Logs: {config.home.logs}")
        else:
            self._say(f"Millwright is up: {config.public_url}")
        self._say(self._setup_link())
        self._say(f"Logs: {config.home.logs}   Stop: Ctrl-C, or make down")

    def _stay(self, startup: Startup, ready_fd: int | None) -> None:
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

    def _load_examples(self) -> None:
        """A box without any task gets the shipped examples once; they are ordinary tasks from then on."""
        from appliance.tasks.models import Task

        if Task.objects.exists():
            return
        try:
            call_command("tasks", "apply", str(Path(ROOT) / "examples"), verbosity=0)
        except CommandError as error:
            # A box without examples is still a box.
            self._say(f"The example tasks could not be loaded: {error}")

    def _make_admin(self, config: Config) -> None:
        """Of the password file, before the first page is served: else one could say that there is nobody yet."""
        from appliance.accounts.setup import ensure_admin

        if config.admin_password_file is None:
            return
        try:
            if ensure_admin(config.admin_password_file):
                self._say("The user 'admin' was made with the password of the password file.")
        except MillwrightError as error:
            self._say(f"There is no administrator yet: {error}")

    def _setup_link(self) -> str:
        command = [sys.executable, str(ROOT / "manage.py"), "setup_link"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            return f"The set-up link could not be made ({said}); run: .venv/bin/python manage.py setup_link"
        return done.stdout.strip()

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _migrate() -> None:
    """Bring the tables to this version. Only where one is behind: the command checks far more than that.

    Raises WrongEncoding.
    """
    refuse_other()
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0)
