"""How far something is: a bar on a terminal, a line now and then elsewhere, nothing in a script."""

import io

from appliance.inference.catalogue.progress import Progress
from appliance.inference.management.showing import ProgressShown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(out: io.StringIO, *, quiet: bool = False) -> str:
    now = 0.0
    progress = ProgressShown(quiet=quiet, out=out, clock=lambda: now)
    for done in range(41):
        now = done / 4
        progress(Progress("downloading", done * 25_000_000, 1_000_000_000, "m.gguf"))
    progress.end()
    return out.getvalue()


def test_a_terminal_gets_a_bar_that_stays_in_its_line() -> None:
    said = shown(Terminal())
    assert "\n" not in said
    assert "[##############..............] 50% of 1.0 GB 100.0 MB/s 0:00:05 left" in said
    assert said.endswith("\r\x1b[2K")


def test_a_file_gets_a_line_now_and_then() -> None:
    lines = shown(io.StringIO()).splitlines()
    assert lines[0].startswith("downloading m.gguf 0% of 1.0 GB")
    assert lines[-1] == "downloading m.gguf 100% of 1.0 GB 100.0 MB/s"
    assert len(lines) <= 3


def test_a_script_gets_nothing() -> None:
    assert shown(Terminal(), quiet=True) == ""


def test_what_is_no_bytes_has_its_own_word() -> None:
    out = io.StringIO()
    ProgressShown(out=out, clock=lambda: 0.0)(Progress("trying", 3, 60, unit="prompts"))
    assert out.getvalue() == "trying 5% of 60 prompts\n"
