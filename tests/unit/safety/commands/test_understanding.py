"""What is said of a command: leaves, reasons, values, limits; and that no text makes it fail."""

import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.safety.commands import CommandClass, binaries, outline, strictest, understand, understand_argv
from appliance.safety.commands.schema import tables


def test_leaves_tell_words_wrappers_files_and_reasons() -> None:
    found = understand('sudo sh -c \'rm -rf "$1"\' x "${1}" > /tmp/log', ["/srv/old files"])
    (leaf,) = found.leaves
    assert leaf.argv == ("rm", "-rf", "/srv/old files")
    assert leaf.wrappers == ("sudo", "sh")
    assert leaf.writes == ("/tmp/log",)
    assert found.kind is CommandClass.DESTROY
    assert found.reasons == ("`rm` removes files",)
    assert json.loads(json.dumps(found.as_json()))["class"] == "destroy"


def test_what_is_refused_names_its_place() -> None:
    (leaf,) = understand("cat a\nls {a,b}", []).leaves
    assert leaf.kind is CommandClass.UNKNOWN
    assert "line 2, column 4" in leaf.reason


@pytest.mark.parametrize(
    ("script", "values", "words"),
    [
        ('cat "${1}"', ["a b"], ("cat", "a b")),
        ("cat $1", ["a b"], ("cat", "a", "b")),
        ("cat $1", [""], ("cat",)),
        ('cat "$1"', [], ("cat", "")),
        ("cat $1", ["a *"], ("cat", "a", "…")),
        ("cat x${1}y", ["z"], ("cat", "xzy")),
        ('cat "$@"', ["a b", "c"], ("cat", "a b", "c")),
        ("cat '$1' \\$1 \"\\$1\"", ["z"], ("cat", "$1", "$1", "$1")),
        ("A=b; cat $A-x", [], ("cat", "b-x")),
        ("cat ~/x", [], ("cat", "/…")),
        ("cat *.log", [], ("cat", "…")),
        ("cat /var/log/*.log", [], ("cat", "/var/log/…")),
    ],
)
def test_words_are_what_the_program_gets(script: str, values: list[str], words: tuple[str, ...]) -> None:
    assert understand(script, values).leaves[-1].argv == words


def test_a_value_is_judged_as_what_it_is_and_not_as_text() -> None:
    assert understand('cat "${1}"', ["x; rm y"]).kind is CommandClass.READ
    assert understand('sort "${1}"', ["-ox"]).kind is CommandClass.CHANGE
    assert understand('sort "${1}"', ["x"]).kind is CommandClass.READ
    assert understand('sort "${1}"', None).kind is CommandClass.UNKNOWN
    assert understand('tee "${1}"', ["/etc/passwd"]).kind is CommandClass.DESTROY
    assert understand('cat "${1}"', ["/etc/shadow"]).kind is CommandClass.UNKNOWN


def test_a_program_without_a_shell() -> None:
    assert understand_argv(["cat", "x; rm y"]).kind is CommandClass.READ
    assert understand_argv(["sh", "-c", "rm x"]).kind is CommandClass.DESTROY
    assert understand_argv(["eval", "rm x"]).kind is CommandClass.UNKNOWN
    assert understand_argv([]).kind is CommandClass.UNKNOWN
    assert understand_argv(["cat"] * 5000).kind is CommandClass.UNKNOWN
    assert understand_argv(["cat", "x"], ["LD_PRELOAD"]).kind is CommandClass.UNKNOWN


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("cat x\n" * 100, "64 commands"),
        ("cat x;" * 3000, "characters"),
        ("( " * 60 + "cat x" + " )" * 60, "deep"),
        ("a|" * 5000 + "a", "operators"),
        ("nice " * 20 + "cat x", "wrapped"),
        ("cat " + "a " * 7000, "parts"),
    ],
)
def test_what_nobody_could_review_is_not_understood_and_says_so(script: str, why: str) -> None:
    found = understand(script, [])
    assert found.kind is CommandClass.UNKNOWN
    assert why in " ".join(found.reasons)


def test_where_sh_is_no_plain_shell_it_is_taken_for_bash(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "echo $((x))"
    for link, dialect in (
        ("/bin/dash", "sh"),
        ("/bin/busybox", "sh"),
        ("/bin/bash", "bash"),
        ("/bin/ksh", "bash"),
    ):
        binaries.sh_dialect.cache_clear()
        monkeypatch.setattr(os.path, "realpath", lambda path, link=link: link)
        assert binaries.sh_dialect() == dialect
        kind = CommandClass.READ if dialect == "sh" else CommandClass.UNKNOWN
        assert understand(script, []).kind is kind
        assert understand_argv(["sh", "-c", script]).kind is kind
        assert understand("watch 'echo $((x))'", []).kind is kind
    binaries.sh_dialect.cache_clear()


def test_the_order_of_classes() -> None:
    assert [c.value for c in sorted(CommandClass, key=lambda c: c.rank)] == [
        "read",
        "change",
        "destroy",
        "unknown",
    ]
    assert strictest([]) is CommandClass.READ
    assert strictest([CommandClass.CHANGE, CommandClass.DESTROY]) is CommandClass.DESTROY


def test_the_tables_hold_the_programs_people_use() -> None:
    assert len(tables()) >= 150


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200), st.none() | st.lists(st.text(max_size=20), max_size=3))
def test_no_text_makes_it_fail(script: str, values: list[str] | None) -> None:
    found = understand(script, values)
    assert json.loads(json.dumps(found.as_json()))["class"] == found.kind.value
    outline(script)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.text(max_size=12) | st.sampled_from(sorted(tables())) | st.sampled_from(["-x", "--", "-c", "-o"]),
        max_size=6,
    )
)
def test_no_arguments_make_it_fail(argv: list[str]) -> None:
    found = understand_argv(argv)
    assert json.loads(json.dumps(found.as_json()))["class"] == found.kind.value
