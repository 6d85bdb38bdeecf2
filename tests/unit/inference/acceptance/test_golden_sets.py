"""A golden set with a mistake in it is refused with file, line and what was expected."""

from pathlib import Path

import pytest

from appliance.inference.acceptance.errors import GoldenRefused
from appliance.inference.acceptance.golden_sets import golden_digest, golden_sets, load_golden


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("", 1, "empty"),
        ("entries: []", 1, "entries"),
        ("- 1", 1, "no golden set"),
        ("least: 2\nentries:\n  - {prompt: a, equals: b}", 1, "less than or equal to 1"),
        ("entries:\n  - prompt: a\n", 2, "equals, contains, matches, schema"),
        ("entries:\n  - {prompt: a, equals: b, matches: c}", 2, "once"),
        ("entries:\n  - prompt: a\n    matches: '('", 3, "no regular expression"),
        ("entries:\n  - prompt: a\n    schema: {type: thing}", 3, "no JSON schema"),
        ("entries:\n  - prompt: a\n    schema: {$ref: '#/nope'}", 3, "nothing in this schema"),
        (
            "entries:\n  - prompt: a\n    schema: {not: {$ref: 'http://x.example/y'}}",
            3,
            "nothing in this schema",
        ),
        ("entries:\n  - prompt: a\n    schema: {type: string, pattern: '('}", 3, "no JSON schema"),
        ("entries:\n  - prompt: a\n    matches: 'a{99999999999999999999}'", 3, "no regular expression"),
        ("entries:\n  - prompt: a\n    contain: b", 3, "did you mean `contains`"),
        ("entries:\n  - equals: b", 2, "What is asked"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, line: int, says: str) -> None:
    with pytest.raises(GoldenRefused) as refused:
        load_golden(text, "golden/tiny.yaml")
    assert says in str(refused.value)
    assert f"golden/tiny.yaml:{line}:" in str(refused.value)


def test_a_model_has_its_own_set_and_the_one_for_all(tmp_path: Path) -> None:
    assert golden_sets(tmp_path, "tiny") == []
    assert golden_digest(tmp_path, "tiny") == ""
    (tmp_path / "golden").mkdir()
    (tmp_path / "golden/any.yaml").write_text("entries: [{prompt: a, equals: b}]")
    first = golden_digest(tmp_path, "tiny")
    (tmp_path / "golden/tiny.yaml").write_text("entries: [{prompt: a, equals: c}]")
    assert [one.name for one in golden_sets(tmp_path, "tiny")] == ["tiny", "any"]
    assert golden_digest(tmp_path, "tiny") not in (first, "")
    assert golden_digest(tmp_path, "other") == golden_digest(tmp_path, "any") or first


def test_a_schema_may_point_into_itself() -> None:
    text = "entries: [{prompt: a, schema: {$ref: '#/$defs/on', $defs: {on: {type: boolean}}}}]"
    assert load_golden(text, "golden/tiny.yaml").entries


def test_a_set_that_cannot_be_read_is_another_one_and_breaks_nothing(tmp_path: Path) -> None:
    (tmp_path / "golden").mkdir()
    file = tmp_path / "golden/tiny.yaml"
    file.write_bytes(b"\xff\xfe no text")
    no_text = golden_digest(tmp_path, "tiny")
    with pytest.raises(GoldenRefused, match="cannot be read"):
        golden_sets(tmp_path, "tiny")
    file.unlink()
    file.mkdir()
    assert len({golden_digest(tmp_path, "tiny"), no_text, ""}) == 3
