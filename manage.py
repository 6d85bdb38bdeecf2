#!/usr/bin/env python
"""The one command of the box: ``manage.py help`` lists what it can do."""

import os
import sys


def main() -> None:
    if sys.argv[1:] == ["guard"]:
        from appliance.processes.guard.main import main as guard

        sys.exit(guard())
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webadmin.settings")
    from django.db import OperationalError

    from appliance.lib.errors import MillwrightError
    from appliance.processes.command_line import execute

    try:
        execute(sys.argv)
    except (
        MillwrightError
    ) as error:  # of the settings: a home that cannot be used, a variable that cannot be meant
        sys.exit(str(error))
    except OperationalError as error:
        from appliance.lib.config import get_config

        said = str(error).strip().splitlines()[0]
        home = get_config().home.path
        print(f"The database of the box in {home} does not answer: {said}", file=sys.stderr)
        print("Start the box with `make up`, or name another home with MILLWRIGHT_HOME.", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
