"""What a new user does: clone, set up, start, look, stop, test; not as root, and where paths have spaces."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from appliance.lib.config import ROOT

PROGRAMS = ("useradd", "userdel", "runuser", "git", "make")
MISSING = [
    name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None
]
SLICE = ("tests/unit/safety", "tests/unit/lib", "tests/unit/processes", "tests/integration/sandbox")
"""Tests that behave differently for an ordinary user; one of them (test_stop.py) needs one."""

pytestmark = [
    pytest.mark.slow(sample=False),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a user"),
    pytest.mark.skipif(bool(MISSING), reason=f"not here: {', '.join(MISSING)}"),
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is not a clone, so it cannot be cloned"),
]


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A user of this machine made for the test; it has a clone, and nothing but the system's programs."""

    name: str
    home: Path

    @property
    def clone(self) -> Path:
        return self.home / "a clone; 'new' 100% #1"

    def run(self, *command: str, seconds: float = 120, where: Path | None = None) -> str:
        """What the command said. AssertionError with all it said when it failed."""
        # How packages and certificates are reached belongs to the machine, not to the user.
        kept = ("PIP_", "SSL_", "REQUESTS_", "CURL_", "HTTP_", "HTTPS_", "NO_PROXY", "http", "no_proxy")
        environment = {name: value for name, value in os.environ.items() if name.startswith(kept)}
        environment |= {"HOME": str(self.home), "PATH": "/usr/local/bin:/usr/bin:/bin", "LANG": "C.UTF-8"}
        done = subprocess.run(
            ["/usr/sbin/runuser", "-u", self.name, "--", *command],
            env=environment,
            cwd=where or self.clone,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-4000:]}"
        return done.stdout

    def manage(self, *arguments: str) -> str:
        return self.run(".venv/bin/python", "manage.py", *arguments)

    def processes(self) -> list[int]:
        uid = pwd.getpwnam(self.name).pw_uid
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if entry.stat().st_uid == uid:
                    found.append(int(entry.name))
        return found


@pytest.fixture
def newcomer() -> Iterator[Newcomer]:
    place = Path(tempfile.mkdtemp(prefix="mw-clone-"))
    place.chmod(0o755)
    made = Newcomer(f"mw-{secrets.token_hex(4)}", place / "home of a user")
    subprocess.run(
        ["useradd", "--create-home", "--home-dir", str(made.home), "--shell", "/bin/sh", made.name],
        check=True,
    )
    try:
        # Git serves nobody the repository of somebody else: the user gets one to clone from.
        source = place / "millwright.git"
        subprocess.run(
            ["git", "clone", "--quiet", "--bare", "--no-hardlinks", str(ROOT), str(source)], check=True
        )
        subprocess.run(["chown", "-R", made.name, str(source)], check=True)
        made.run("git", "clone", "--quiet", str(source), str(made.clone), where=made.home)
        yield made
    finally:
        for pid in made.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        subprocess.run(["userdel", made.name], check=True)
        shutil.rmtree(place, ignore_errors=True)


def test_a_newcomer_sets_up_starts_stops_and_tests(newcomer: Newcomer) -> None:
    newcomer.run("make", "setup", seconds=900)
    said = newcomer.manage("up", "--detach")
    address = said.partition("Millwright is up: ")[2].split()[0]
    assert f"{address}/setup/" in said
    answer = httpx.get(f"{address}/readyz", timeout=10, trust_env=False)
    assert answer.json()["ready"], answer.text
    assert "worker     running" in newcomer.run("make", "status")
    assert newcomer.run("make", "down").strip() == "Stopped."
    assert newcomer.processes() == []
    tested = newcomer.run(
        ".venv/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", *SLICE, seconds=600
    )
    assert " passed" in tested
    assert "root reads everything" not in tested
    own = pwd.getpwnam(newcomer.name).pw_uid
    strays = [path for path in newcomer.clone.rglob("*") if path.lstat().st_uid != own]
    assert strays == []
