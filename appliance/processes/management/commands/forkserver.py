"""``manage.py forkserver``: loads what the services share, and forks them when the process manager wants one."""

import os
import socket
import sys
from typing import Any

from django.core.management import execute_from_command_line
from django.core.management.base import BaseCommand, CommandError


class Command(BaseCommand):
    help = "Fork services from a process that has loaded them; the process manager starts it."
    requires_system_checks: list[str] = []

    def handle(self, **options: Any) -> None:
        from appliance.lib.config import get_config
        from appliance.processes.forkserver import loaded_file
        from appliance.processes.forkserver.server import serve
        from appliance.processes.forkserver.shared import load

        manager = os.getppid()
        try:
            door = socket.socket(fileno=0)
        except OSError as error:
            raise CommandError("the process manager starts this one, and nobody else can") from error
        load()
        service = serve(door, manager, loaded_file(get_config().home).touch)
        sys.argv = [sys.argv[0], service]
        execute_from_command_line(sys.argv)
