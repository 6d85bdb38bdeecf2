"""Guard is the most powerful process of the box: it loads little."""

import subprocess
import sys

from appliance.lib.config import ROOT

HEAVY = {"django", "celery", "redis", "psycopg", "webadmin", "docker", "requests", "urllib3", "paho", "httpx"}


def test_guard_starts_without_django_and_without_the_engines_library() -> None:
    code = (
        "import sys, appliance.processes.guard.main; print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & HEAVY == set()
