"""Searching runbooks: the right section first, in English and Chinese, fresh, and never a hidden file."""

import os
from pathlib import Path

import pytest

from appliance.agent.knowledge.index import Index

PUMPS = """# Pumps

What every pump has.

## Restart after overheating

Close the valve, wait ten minutes, then press the green button.

## Bearings

Replace the bearing when it vibrates above 7 mm/s. Order number SKF-6204.
"""
CHINESE = """# 水泵

## 过热之后重新启动

先关闭阀门，等待十分钟，然后按绿色按钮。

## 更换轴承

振动超过 7 mm/s 时更换轴承。
"""
NETWORK = "# Network\n\n## When the switch is dark\n\nLook at its power supply.\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "pumps.md").write_text(PUMPS)
    (tmp_path / "泵.md").write_text(CHINESE)
    (tmp_path / "network.md").write_text(NETWORK)
    return tmp_path


@pytest.mark.parametrize(
    ("question", "file", "heading"),
    [
        ("how do I restart a pump that overheated?", "pumps.md", "Pumps › Restart after overheating"),
        ("pump is overheating", "pumps.md", "Pumps › Restart after overheating"),
        ("vibration of bearings", "pumps.md", "Pumps › Bearings"),
        ("SKF-6204", "pumps.md", "Pumps › Bearings"),
        ("bearnig", "pumps.md", "Pumps › Bearings"),
        ("the switch has no power", "network.md", "Network › When the switch is dark"),
        ("水泵过热以后怎么重新启动", "泵.md", "水泵 › 过热之后重新启动"),
        ("轴承", "泵.md", "水泵 › 更换轴承"),
        ("如何更换軸承轴承", "泵.md", "水泵 › 更换轴承"),
        ("阀", "泵.md", "水泵 › 过热之后重新启动"),
    ],
)
def test_the_right_section_comes_first(root: Path, question: str, file: str, heading: str) -> None:
    found = Index(root).search(question, 3)
    assert (found[0].file, found[0].heading) == (file, heading)
    assert 0 < found[0].score <= 1
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_what_is_in_no_file_finds_nothing(root: Path) -> None:
    index = Index(root)
    assert index.search("quantum chromodynamics", 5) == []
    assert index.search("", 5) == []
    assert index.search('" OR * NEAR(', 5) == []


def test_it_is_as_fresh_as_the_files(root: Path) -> None:
    index = Index(root)
    assert index.search("compressor", 5) == []
    (root / "new.md").write_text("# Compressor\n\nDrain it.")
    assert index.search("compressor", 5)[0].file == "new.md"
    (root / "new.md").write_text("# Chiller\n\nDrain it, in another way.")
    assert index.search("compressor", 5) == []
    assert index.search("chiller", 5)[0].file == "new.md"
    (root / "new.md").unlink()
    assert index.search("chiller", 5) == []


def test_a_file_that_only_changed_its_time_is_the_same(root: Path) -> None:
    index = Index(root)
    before = index.search("bearing", 5)
    os.utime(root / "pumps.md", (1, 1))
    assert index.search("bearing", 5) == before


def test_a_file_that_cannot_be_read_is_told_until_it_can(root: Path) -> None:
    (root / "bad.md").write_bytes(b"# x\n\xff")
    index = Index(root)
    assert [(one.file, str(one.why)) for one in index.troubles()] == [
        ("bad.md", "not UTF-8: a byte in line 2 is no character")
    ]
    assert "bad.md" not in [one.file for one in index.files()]
    (root / "bad.md").write_text("# Fine\n\nNow it is longer.")
    assert index.troubles() == []
    assert index.search("fine", 1)[0].file == "bad.md"


def test_a_file_whose_name_is_no_text_holds_up_none_of_the_others(root: Path) -> None:
    index = Index(root)
    (root / os.fsdecode(b"caf\xe9.md")).write_text("# Coffee\n\nBrew it.")
    (root / "new.md").write_text("# Compressor\n\nDrain it.")
    assert index.search("compressor", 5)[0].file == "new.md"
    assert index.search("coffee", 5) == []
    assert len(index.troubles()) == 1


def test_a_look_that_breaks_in_the_middle_is_made_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = Index(root)
    (root / "new.md").write_text("# Compressor\n\nDrain it.")
    with monkeypatch.context() as patched:
        patched.setattr(index, "_add", lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            index.search("compressor", 5)
    assert index.search("compressor", 5)[0].file == "new.md"


def test_one_section_does_not_fill_the_answer(tmp_path: Path) -> None:
    (tmp_path / "long.md").write_text(
        "# Long\n" + "\n".join(f"pump pump pump {'x' * 300}" for _ in range(40))
    )
    (tmp_path / "other.md").write_text("# Other\n\nOne pump.")
    found = Index(tmp_path).search("pump", 6)
    assert [one.file for one in found].count("long.md") == 2
    assert "other.md" in [one.file for one in found]


def test_a_heading_alone_is_found_by_what_stands_below_it(tmp_path: Path) -> None:
    (tmp_path / "valves.md").write_text("# Valves\n\n## Turn valves\n\nTurn the valves to the left.\n")
    (tmp_path / "todo.md").write_text("# Sirens\n")
    found = Index(tmp_path).search("valves", 5)
    assert [one.heading for one in found] == ["Valves › Turn valves"]
    assert Index(tmp_path).search("sirens", 5)[0].file == "todo.md", "it has nothing else"
    assert [one.title for one in Index(tmp_path).files()] == ["Sirens", "Valves"]
