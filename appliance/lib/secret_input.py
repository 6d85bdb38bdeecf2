"""A secret that a command is given: from a file or a pipe, never from the command line, which everybody sees."""

import sys
from pathlib import Path

from django.core.management.base import CommandError


def read_secret(file: str | None) -> str:
    """What FILE (``-`` is standard input) holds, without the end of its last line; empty where none is named.

    Raises CommandError.
    """
    if not file:
        return ""
    try:
        return (sys.stdin.read() if file == "-" else Path(file).read_text()).rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"{file} cannot be read") from error
