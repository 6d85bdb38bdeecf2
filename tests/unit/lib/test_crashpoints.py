"""The places at which processes can be made to die: all named once, all documented, and each kills once."""

import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
_REACH = re.compile(r'\breach\("([^"]+)"\)')
_LISTED = re.compile(r"^\| `([a-z]+\.[a-z_]+)` \|", re.MULTILINE)
_LOOP = (
    "from appliance.lib.crashpoints import reach\nfor n in range(5):\n    reach('a.b'); print(n, flush=True)"
)


def in_the_code() -> Counter[str]:
    files = [file for folder in ("appliance", "webadmin") for file in (ROOT / folder).rglob("*.py")]
    return Counter(name for file in files for name in _REACH.findall(file.read_text(encoding="utf-8")))


def live(at: str) -> tuple[int, int]:
    """How a process ends that comes by ``a.b`` five times, and how often it got past."""
    done = subprocess.run(
        [sys.executable, "-c", _LOOP],
        cwd=ROOT,
        env={"MILLWRIGHT_CRASH_AT": at},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, len(done.stdout.split())


def test_each_place_is_named_once_and_listed_in_the_testing_page() -> None:
    found = in_the_code()
    assert [name for name, times in found.items() if times > 1] == []
    listed = _LISTED.findall((ROOT / "docs/testing.md").read_text(encoding="utf-8"))
    assert sorted(listed) == sorted(found)


def test_each_place_is_crashed_by_a_test() -> None:
    suite = "".join(
        file.read_text(encoding="utf-8") for file in (ROOT / "tests/acceptance/crashes").glob("*.py")
    )
    assert [name for name in in_the_code() if f'"{name}"' not in suite] == []


def test_a_process_dies_at_the_time_that_was_said() -> None:
    assert live("a.b:3") == (-signal.SIGKILL, 2)
    assert live("a.b") == (-signal.SIGKILL, 0)
    assert live("a.bc:1") == live("") == (0, 5)


def test_its_next_life_finds_the_marker_and_lives(tmp_path: Path) -> None:
    at = f"a.b:2:{tmp_path}/marker"
    assert live(at) == (-signal.SIGKILL, 1)
    assert (tmp_path / "marker").exists()
    assert live(at) == (0, 5)


def test_a_file_says_where(tmp_path: Path) -> None:
    plan = tmp_path / "plan"
    assert live(f"@{plan}") == (0, 5)
    plan.write_text("a.b:4\n")
    assert live(f"@{plan}") == (-signal.SIGKILL, 3)
    plan.write_text("")
    assert live(f"@{plan}") == (0, 5)
