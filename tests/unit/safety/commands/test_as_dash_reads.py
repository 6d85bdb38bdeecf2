"""What ``sh`` really runs and writes is never more than what was understood: compared with the real ``dash``."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.safety.commands import Leaf, understand

DASH = Path("/bin/dash") if Path("/bin/dash").exists() else Path("/bin/sh")
PROBE = """#!/bin/sh
{ printf '%s\\037' probe "$@"; printf '\\036'; } >> "$LOG"
"""
# Words and pieces of words: what glues and what parts them is what shells differ in.
TOKENS = [
    "probe", "probe", "probe ", " probe", " ", " ", "\n", "a", "b", "-x", "1", "2", "'", "'", '"', '"', "\\", "$", "$1",
    "$2", "${1}", "${2}", '"$1"', '"$2"', "$@", '"$@"', "$*", "$x", "x=", "x=a", "`", "$(", ")", "(", "{", "}", "{ ",
    "; }", ";", ";;", "&", "&&", "|", "||", "|&", ">", ">f", ">>", "2>", ">&1", "<", "<<E\n", "\nE\n", "<<", "#", " #",
    "!", "~", "*", "?", "[", "]", "[ ", " ]", "[[ ", " ]]", "=", "if ", "; then ", "; fi", "for i in ", "; do ",
    "; done", "$i", "case ", " in ", "esac", "a)", "$((", "))", "+", "${x:-", "${x#", "%", ",", "..", "{a,b}", "$'",
    '$"',
    "<(", "=(", "f()", "\t", "\r", "\v", "é", "\xa0", "\\\n", "eval ", "exec ", "time ", "echo ", "true ", "cd ",
]  # fmt: skip
VALUES = ["one two", "a*b", "$(probe no)", "", "-x", "plain", "\n", "'", 'probe "x"', "f"]


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    with TemporaryDirectory() as name:
        probe = Path(name) / "bin" / "probe"
        probe.parent.mkdir()
        probe.write_text(PROBE)
        probe.chmod(0o755)
        yield Path(name)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(TOKENS), min_size=1, max_size=14).map("".join),
    st.lists(st.sampled_from(VALUES), max_size=2),
)
def test_sh_runs_and_writes_nothing_that_was_not_understood(
    folder: Path, script: str, values: list[str]
) -> None:
    found = understand(script, values)
    if any(leaf.kind == "unknown" and leaf.program != "probe" for leaf in found.leaves):
        return  # it says that it does not understand
    ran, written = run(folder, script, values)
    for argv in ran:
        assert any(may_be(argv, leaf) for leaf in found.leaves), (script, argv, found.as_json())
    expected = {path for leaf in found.leaves for path in leaf.writes}
    if not any(path.endswith("…") for path in expected):
        assert written <= {os.path.normpath(path) for path in expected}, (script, written, found.as_json())


def run(folder: Path, script: str, values: list[str]) -> tuple[list[list[str]], set[str]]:
    """The command lines of the probes that ran, and the files that were made."""
    with TemporaryDirectory() as name:
        log = folder / "log"
        log.unlink(missing_ok=True)
        subprocess.run(
            [DASH, "-c", script, "mw", *values],
            env={"PATH": str(folder / "bin"), "LOG": str(log), "HOME": "/home/x"},
            cwd=name, stdin=subprocess.DEVNULL, capture_output=True, timeout=20, check=False,
        )  # fmt: skip
        text = log.read_bytes().decode() if log.exists() else ""
        ran = [line.split("\x1f")[:-1] for line in text.split("\x1e") if line]
        return ran, {path.name for path in Path(name).iterdir()}


def may_be(argv: list[str], leaf: Leaf) -> bool:
    """Whether a command line that ran is the leaf's: a word that ends with … stands for any number of words."""
    if any(word.endswith("…") for word in leaf.argv):
        first = next(n for n, word in enumerate(leaf.argv) if word.endswith("…"))
        return argv[:first] == list(leaf.argv[:first])
    return argv == list(leaf.argv)
