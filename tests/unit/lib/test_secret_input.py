"""A secret comes from a file or a pipe."""

import io
from pathlib import Path

import pytest
from django.core.management.base import CommandError

from appliance.lib.secret_input import read_secret


def test_it_is_what_the_file_or_the_pipe_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kept").write_text(" two\nlines \r\n")
    assert read_secret(str(tmp_path / "kept")) == " two\nlines "
    monkeypatch.setattr("sys.stdin", io.StringIO("piped\n"))
    assert read_secret("-") == "piped"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_what_cannot_be_read_is_said_without_a_word_of_it(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "kept"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CommandError, match="kept cannot be read"):
        read_secret(str(file))
