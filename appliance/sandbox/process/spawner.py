"""Start of the spawner: ``python -I -S spawner.py --socket PATH --home HOME [--uid N]``.

A script, not a module: run isolated, it knows neither site-packages nor the folder it lies in.
"""

# pathlib is not loaded in the spawner
# ruff: noqa: PTH100

import os
import sys

if __name__ == "__main__":
    here = os.path.abspath(__file__)
    sys.path.insert(0, here.removesuffix("/appliance/sandbox/process/spawner.py"))

from appliance.sandbox.process.options import USAGE, UsageError, parse
from appliance.sandbox.process.server import Server, StartError


def main(arguments: list[str]) -> int:
    """Serve until told to stop. Gives the exit status: 1 when it cannot start, 2 on wrong usage."""
    if "--help" in arguments:
        sys.stdout.write(USAGE)
        return 0
    os.umask(0o077)  # the jobs' too
    # Whatever the starter left open is none of a job's business.
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    try:
        Server(parse(arguments)).run()
    except UsageError as error:
        sys.stderr.write(f"spawner: {error}\n{USAGE}")
        return 2
    except StartError as error:
        sys.stderr.write(f"spawner: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
