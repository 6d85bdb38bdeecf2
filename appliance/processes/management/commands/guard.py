"""``manage.py guard``: containers for everybody else. The only process that holds the engine's socket.

``manage.py`` starts it without Django; this is what ``help`` shows, and ``call_command`` finds.
"""

import sys
from typing import Any

from django.core.management.base import BaseCommand

from appliance.processes.guard.main import main


class Command(BaseCommand):
    help = "Run containers for the other services."
    requires_system_checks: list[str] = []

    def handle(self, **options: Any) -> None:
        sys.exit(main())
