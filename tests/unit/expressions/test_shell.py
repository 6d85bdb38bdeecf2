"""Values never enter the text of a shell command: run by real shells, hostile values arrive verbatim."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.expressions import ExpressionError
from appliance.expressions.shell import LONGEST_ARGUMENT, compile_shell

SHELLS = [["/bin/sh"]] + [
    [found, *rest]
    for name, *rest in (("dash",), ("bash",), ("bash", "--posix"), ("busybox", "sh"))
    if (found := shutil.which(name))
]
HOSTILE = [
    "plain",
    "",
    " two  words ",
    "$(echo INJ''ECTED)",
    "`echo INJ''ECTED`",
    "; echo INJ''ECTED",
    "\necho INJ''ECTED\n",
    "' ; echo INJ''ECTED ; '",
    "\" ; echo INJ''ECTED ; \"",
    "'\"'\"'",
    "\\",
    "\\' \\\" \\$ \\`",
    "$HOME ${1} $1 $@ $((1+1)) ~ * ? [a-z]",
    "&& echo INJ''ECTED || | > file < file # comment",
    "<<EOF\nEOF",
    "-n -e --help",
    "日本 é \u2028 \x01\x7f",
    "{{ x }} {% if %}",
    "line\r\nline",
    "!! %s %d \\n \\0",
]


def run(shell: Sequence[str], script: str, values: list[str], folder: Path) -> bytes:
    return subprocess.run(
        [*shell, "-c", script, "mw", *values],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "HOME": "/nowhere"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        timeout=10,
        check=False,
    ).stdout


PLACES = {
    "bare": ("printf '<%s>' {{ x }}", "<{}>"),
    "in single quotes": ("printf '<%s>' 'a {{ x }} b'", "<a {} b>"),
    "in double quotes": ('printf "<%s>" "a {{ x }} b"', "<a {} b>"),
    "beside text": ("printf '<%s>' a{{ x }}b'c'{{ x }}", "<a{}bc{}>"),
    "beside other quotes": ("printf '<%s>' \"it's {{ x }}\"' \"{{ x }}\" '", '<it\'s {} "{}" >'),
    "twice": ("printf '<%s>' {{ x }} {{ x }}", "<{}><{}>"),
    "ten times": ("printf '<%s>' " + "{{ x }} " * 11, "<{}>" * 11),
    "after substitutions": (
        "A=$(echo ')' | cat) B=`echo b` C=${A:-c} D=$((1 + 2)); printf '<%s>' {{ x }}",
        "<{}>",
    ),
    "after quoted substitutions": (
        "A=\"$(echo \"a ' b\")\"; printf '<%s>' {{ x }} 'q {{ x }}'",
        "<{}><q {}>",
    ),
    "after a comment": ("# it's a comment\nprintf '<%s>' {{ x }} # the end, isn't it", "<{}>"),
    "in an assignment": ("A={{ x }}; printf '<%s>' \"$A\"", "<{}>"),
    "in the environment": (
        "A={{ x }} printenv A | tr -d '\\n' >/dev/null; printf '<%s>' \"a{{ x }}\"",
        "<a{}>",
    ),
    "in a loop": ("for i in {{ x }} b; do printf '<%s>' \"$i\"; done", "<{}><b>"),
    "in a condition": ("if [ {{ x }} = \"{{ x }}\" ]; then printf '<%s>' {{ x }}; fi", "<{}>"),
    "in a case": ("case {{ x }} in '{{ x }}') printf '<%s>' {{ x }};; esac", "<{}>"),
    "in a subshell": ("(printf '<%s>' {{ x }}) | cat", "<{}>"),
    "in a group": ("{ printf '<%s>' {{ x }}; } 2>&1", "<{}>"),
    "over lines": ("printf '<%s>' \\\n  {{ x }} \\\n  'b'", "<{}><b>"),
    "after escapes": ('printf \'<%s>\' \\\'{{ x }}\\" "\\"{{ x }}\\\\"', '<\'{}"><"{}\\>'),
    "before a here-document": ("printf '<%s>' {{ x }}; cat >/dev/null <<'E'\nit's\nE\n", "<{}>"),
    "behind set": ("set -eu; printf '<%s>' {{ x }}", "<{}>"),
}


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
@pytest.mark.parametrize("place", PLACES)
def test_a_hostile_value_arrives_verbatim(place: str, shell: list[str], tmp_path: Path) -> None:
    text, expected = PLACES[place]
    template = compile_shell(text)
    for value in HOSTILE:
        script, values = template.render({"x": value})
        assert len(value) < 2 or value not in script
        assert run(shell, script, values, tmp_path).decode() == expected.replace("{}", value)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=40),
    st.sampled_from(sorted(PLACES)),
)
def test_any_value_arrives_verbatim(tmp_path: Path, value: str, place: str) -> None:
    text, expected = PLACES[place]
    script, values = compile_shell(text).render({"x": value})
    if place == "in a condition" and value in ("(", ")", "!", "-a", "-o"):
        return  # the shell's own [ takes these as operators, however they are quoted
    assert run(["/bin/sh"], script, values, tmp_path).decode() == expected.replace("{}", value)


_FRAGMENTS = st.sampled_from(
    r"""
{{ x }}|{{ x }}|echo |'|"|\|$(|)|`|${A}|${A:-|}|#|~|;| |<<E~|~E~|a|$|((|))|case a in a) |;; esac| && |(|\~|$((|$'
|{ |A=|f() |eval |set -- |shift;|$1|sh -c |${#A}|if :; then |; fi|<|&
""".replace("\n", "")
    .replace("~", "\n")
    .split("|")
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(_FRAGMENTS, min_size=2, max_size=14).map("".join))
def test_no_text_that_is_accepted_ever_runs_a_value(tmp_path: Path, text: str) -> None:
    try:
        template = compile_shell(text)
    except ExpressionError:
        return
    # What it prints appears only when it is run, not when the value itself is printed.
    hostile = "';\";\n$(printf 'INJ%s' ECTED >&2)`printf 'INJ%s' ECTED`;printf 'INJ%s' ECTED\n#"
    script, values = template.render({"x": hostile})
    for shell in SHELLS[:3]:
        assert b"INJECTED" not in run(shell, script, values, tmp_path)


def test_values_are_text_as_in_messages() -> None:
    script, values = compile_shell("echo {{ a }} {{ b }} {{ c }} {{ d|default('x y') }}").render(
        {"a": None, "b": [1, "é"], "c": True}
    )
    assert script == 'echo "${1}" "${2}" "${3}" "${4}"'
    assert values == ["", '[1,"é"]', "true", "x y"]


def test_a_command_without_values_stays_as_it_is() -> None:
    for text in (
        "tail -n 100 /var/log/app.log | grep -i error",
        "eval `x` $1 'open <<E",
        "echo ${#A} $'a' {% d",
    ):
        template = compile_shell(text)
        assert template.render({}) == (text, [])
        assert template.parameters == ()


def test_an_argument_that_the_kernel_would_refuse_is_refused() -> None:
    template = compile_shell("echo {{ x }}")
    for value in ("a\x00b", "é" * (LONGEST_ARGUMENT // 2 + 1)):
        with pytest.raises(ExpressionError) as caught:
            template.render({"x": value})
        assert caught.value.offset == 5
    _, values = template.render({"x": "x" * LONGEST_ARGUMENT})
    assert subprocess.run(["/bin/true", *values], check=False).returncode == 0
