"""``manage.py up`` for a box that lives by a clock which the test sets: its services get ``clock.c`` preloaded.

The services are given a short list of the environment's names; here it is a little longer.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "webadmin.settings")


def main() -> None:
    from django.core.management import execute_from_command_line

    from appliance.lib.config import Config
    from appliance.processes import programs

    plain = programs._base

    def base(config: Config) -> dict[str, str]:
        found = plain(config)
        return {**found, "MW_CLOCK": os.environ["MW_CLOCK"], "LD_PRELOAD": os.environ["MW_CLOCK_LIBRARY"]}

    programs._base = base
    execute_from_command_line(["manage.py", "up"])


if __name__ == "__main__":
    main()
