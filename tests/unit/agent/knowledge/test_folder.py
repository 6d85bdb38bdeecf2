"""The folder of runbooks: bounded, nothing outside of it opened, and what is not taken is said."""

import os
from pathlib import Path

import pytest

from appliance.agent.knowledge import folder
from appliance.agent.knowledge.folder import Unreadable, listing, text_of
from appliance.agent.knowledge.sections import PASSAGE, passages, sections


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "knowledge"
    made.mkdir()
    return made


def troubles(root: Path) -> dict[str, str]:
    return {one.file: str(one.why) for one in listing(root).troubles}


def test_markdown_files_in_all_folders_but_hidden_ones(root: Path) -> None:
    (root / "pumps" / "deep").mkdir(parents=True)
    (root / ".git").mkdir()
    for name in ("a.md", "pumps/b.md", "pumps/deep/c.md", ".git/d.md", ".hidden.md", "e.txt"):
        (root / name).write_text("# x")
    assert list(listing(root).files) == ["a.md", "pumps/b.md", "pumps/deep/c.md"]
    assert listing(root / "not there").files == {}


def test_a_link_out_of_the_folder_is_refused_and_one_inside_is_not(root: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("# password")
    (root / "a.md").write_text("# a")
    (root / "inside.md").symlink_to("a.md")
    (root / "out.md").symlink_to(tmp_path / "secret.md")
    (root / "folder").symlink_to(tmp_path)
    assert list(listing(root).files) == ["a.md", "inside.md"]
    assert troubles(root).keys() == {"folder", "out.md"}
    with pytest.raises(Unreadable, match="leads out"):
        text_of(root, "out.md")
    with pytest.raises(Unreadable, match="leads out"):
        text_of(root, "../secret.md")


def test_a_pipe_holds_nobody_up(root: Path) -> None:
    os.mkfifo(root / "pipe.md")
    assert listing(root).files == {}
    assert "plain file" in troubles(root)["pipe.md"]


def test_size_and_number_are_bounded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "LARGEST", 10)
    monkeypatch.setattr(folder, "MOST_FILES", 2)
    for name in "abcd":
        (root / f"{name}.md").write_text("x")
    (root / "0large.md").write_text("x" * 11)
    assert list(listing(root).files) == ["a.md", "b.md"]
    assert troubles(root).keys() == {"0large.md", "c.md"}


def test_all_together_are_bounded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "MOST_BYTES", 10)
    (root / "a.md").write_text("x" * 8)
    (root / "b.md").write_text("x" * 8)
    assert list(listing(root).files) == ["a.md"]


def test_what_is_not_utf_8_is_said_with_its_line(root: Path) -> None:
    (root / "gbk.md").write_bytes("# 泵\n\n过热".encode("gbk"))
    with pytest.raises(Unreadable, match="line 1"):
        text_of(root, "gbk.md")


def test_sections_follow_headings_outside_of_fences() -> None:
    text = "before\n# A\n\none\n```sh\n# no heading\n```\n## B #\ntwo\n#### D\nthree\n# C\n~~~\n```\n# none\n~~~\n"
    found = sections(text)
    assert [(one.heading, one.line) for one in found] == [
        ("", 1),
        ("A", 2),
        ("A › B", 8),
        ("A › B › D", 10),
        ("C", 12),
    ]
    assert "# no heading" in found[1].text


def test_a_long_section_is_several_passages_with_their_lines() -> None:
    (section,) = sections("# A\n" + "\n".join(f"line {number} {'x' * 100}" for number in range(60)))
    found = list(passages(section))
    assert len(found) > 3
    assert all(len(one.text) <= PASSAGE + 120 for one in found)
    assert section.text.splitlines()[found[1].line - 1] == found[1].text.splitlines()[0]
