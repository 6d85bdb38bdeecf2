"""``manage.py knowledge`` refuses what cannot be meant, and says where nothing can be found."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command


def knowledge(*words: str) -> str:
    out = StringIO()
    call_command("knowledge", *words, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("search", "pump", "--most", "0"), "from 1 on"),
        (("search", "pump", "--most", "-3"), "from 1 on"),
        (("search", "  "), "say what to search for"),
        (("list", "--folder", "/no/such"), "there is no folder"),
    ],
)
def test_what_cannot_be_meant_is_refused(words: tuple[str, ...], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        knowledge(*words)


def test_a_search_among_no_runbooks_says_that_there_are_none(tmp_path: Path) -> None:
    assert "There are no runbooks" in knowledge("search", "pump", "--folder", str(tmp_path))
    (tmp_path / "pumps.md").write_text("# Pumps\n\nA hot pump is stopped first.\n")
    assert "pumps.md:1" in knowledge("search", "hot pump", "--folder", str(tmp_path))
