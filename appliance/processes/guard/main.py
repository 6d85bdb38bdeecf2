"""Guard as a process. It loads no Django: nothing that it does needs a table, a page or a setting of theirs."""

import asyncio
import logging
import sys
import time

from appliance.lib import log_line
from appliance.lib.config import get_config
from appliance.lib.errors import MillwrightError
from appliance.processes.guard.options import options_of
from appliance.processes.guard.server import AlreadyServed, CannotLock, Server


def main() -> int:
    """Serve until SIGTERM; gives the exit status."""
    formatter = logging.Formatter(log_line.FORMAT)
    formatter.converter = time.gmtime
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("urllib3").setLevel(logging.WARNING)
    try:
        asyncio.run(Server(options_of(get_config())).serve())
    except (AlreadyServed, CannotLock, MillwrightError) as error:
        print(f"guard: {error}", file=sys.stderr)
        return 1
    return 0
