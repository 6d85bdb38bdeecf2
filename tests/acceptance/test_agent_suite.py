"""``manage.py agent_suite``: in a home of its own, and in no other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def suite(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "agent_suite", *words],
        env={**os.environ, "MILLWRIGHT_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


@pytest.mark.slow
def test_problems_are_gone_through_and_nothing_stays_of_it(tmp_path: Path) -> None:
    home = tmp_path / "home"
    words = ["--problem", "hottest-pump", "--problem", "order-what-is-missing", "--json"]
    done = suite(home, *words)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    assert (report["model"], report["problems"], report["solved"], report["rate"]) == ("scripted", 2, 2, 1.0)
    assert [one["problem"] for one in report["results"]] == ["hottest-pump", "order-what-is-missing"]
    assert not (home / "data").exists(), "the box that it was called on was started"
    assert suite(home, "--problem", "no-such-problem").returncode == 1


@pytest.mark.slow
def test_it_works_on_no_home_that_is_somebodys(tmp_path: Path) -> None:
    done = suite(tmp_path / "home", "--inside", str(tmp_path / "keeper.sock"))
    assert done.returncode == 1
    assert "no place to try things out in" in done.stderr
