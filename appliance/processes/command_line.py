"""How ``manage.py`` says what went wrong: a sentence on standard error and an exit status, for every command alike."""

import sys
from collections.abc import Sequence
from typing import Any

from django.core.management import BaseCommand, CommandError, ManagementUtility
from django.core.management.base import SystemCheckError

from appliance.lib.errors import MillwrightError

FAILED = 1


class CommandLine(ManagementUtility):
    """As Django's, but that the class of an error is not what a person reads first. ``--traceback`` shows all."""

    def fetch_command(self, subcommand: str) -> BaseCommand:
        command = super().fetch_command(subcommand)
        perform = command.execute

        def plainly(*args: Any, **options: Any) -> Any:
            try:
                return perform(*args, **options)
            except SystemCheckError:
                raise
            except (CommandError, MillwrightError) as error:
                if options.get("traceback"):
                    raise
                command.stderr.write(str(error))
                sys.exit(error.returncode if isinstance(error, CommandError) else FAILED)

        setattr(command, "execute", plainly)  # noqa: B010 - a method of this one command is wrapped
        return command


def execute(argv: Sequence[str]) -> None:
    """Run the command that a command line names."""
    CommandLine(list(argv)).execute()
