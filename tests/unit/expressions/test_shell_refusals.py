"""Where a value would not be safe in a command, the command is refused when it is saved."""

import pytest

from appliance.expressions import ExpressionError
from appliance.expressions.shell import compile_shell

REFUSED = {
    "here-document": "cat <<EOF\n{{ x }}\nEOF",
    "quoted here-document": "cat <<'EOF'\n{{ x }}\nEOF",
    "after a here-document": "cat <<EOF\nit's\nEOF\necho {{ x }}",
    "here-document broken over lines": "cat <\\\n<EOF\n{{ x }}\nEOF",
    "backquotes": "echo `cat {{ x }}`",
    "backquotes in quotes": 'echo "`cat {{ x }}`"',
    "after hard backquotes": "echo `echo '`'` {{ x }}",
    "$( )": "echo $(cat {{ x }})",
    "$( ) in quotes": 'echo "$(cat "{{ x }}")"',
    "$( ) broken over lines": "echo $\\\n(cat {{ x }})",
    "after case in $( )": "A=$(case a in a) echo 1;; esac) && echo '{{ x }}'",
    "$(( ))": "echo $(( {{ x }} + 1 ))",
    "(( ))": "(( {{ x }} + 1 ))",
    "${ }": "echo ${A:-{{ x }}}",
    "after quotes in ${ }": "echo ${A:-'}'} {{ x }}",
    "$": "echo ${{ x }}",
    "$ in quotes": 'echo "${{ x }}"',
    "$'": "echo $'{{ x }}'",
    "backslash": "echo \\{{ x }}",
    "backslash in quotes": 'echo "\\{{ x }}"',
    "comment": "echo a # {{ x }}",
    "open single quote": "echo '{{ x }}",
    "open double quote": 'echo "{{ x }}',
    "quote that opens later": "echo {{ x }} 'a",
    "open $(": "echo {{ x }} $(date",
    "function": "f() { echo {{ x }}; }; f a",
    "function keyword": "function f { echo {{ x }}; }; f a",
    "eval": "eval echo {{ x }}",
    "eval later": 'A={{ x }}; eval "$A"',
    "hidden eval": "e\\val 'echo {{ x }}'",
    "eval behind command": "command eval {{ x }}",
    "eval in a condition": "if eval {{ x }}; then :; fi",
    "source": "source {{ x }}",
    "dot": ". {{ x }}",
    "trap": "trap '{{ x }}' EXIT",
    "alias": "alias a='{{ x }}'; a",
    "sh -c": "sh -c 'echo {{ x }}'",
    "bash -ec": '/bin/bash -ec "echo {{ x }}"',
    "sh -c behind sudo": "sudo -u nobody sh -c 'echo {{ x }}'",
    "sh -c behind find": "find /tmp -exec sh -c 'echo {{ x }}' ';'",
    "sh -c later": 'A={{ x }}; export A; sh -c "echo $A"',
    "ssh": "ssh host rm {{ x }}",
    "su": "su -c 'echo {{ x }}' nobody",
    "let": "let 'a = {{ x }}'",
    "[[": "[[ {{ x }} -gt 5 ]]",
    "unset": "unset {{ x }}",
    "read": "read {{ x }}",
    "export of a name": "export {{ x }}",
    "awk": "awk '{ print {{ x }} }' file",
    "awk with options": 'awk -F: -v a=b "/{{ x }}/" file',
    "sed": "sed 's/a/{{ x }}/' file",
    "sed -e": "sed -n -e 5p -e '{{ x }}p' file",
    "jq": "jq --arg a b '.{{ x }}' file",
    "python": "python3 -c 'print({{ x }})'",
    "perl": "perl -ne 'print if /{{ x }}/' file",
    "psql": "psql -c \"select '{{ x }}'\"",
    "the command itself": "{{ x }} a",
    "the command itself, in a pipe": "cat a | {{ x }}",
    "the command itself, in part": "/opt/{{ x }}/run",
    "set": "set -- a b; echo {{ x }}",
    "shift": "shift; echo {{ x }}",
    "own $1": "echo $1 {{ x }}",
    "own $@": 'echo {{ x }} "$@"',
    "own ${2}": "echo ${2} {{ x }}",
    "own $1 in a here-document": "cat {{ x }} - <<E\n$1\nE",
    "white-space control": "echo {{- x }}",
    "tag": "{% if x %}echo{% endif %}",
    "NUL": "echo \x00 {{ x }}",
    "expression that cannot be read": "echo {{ x + }}",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_value_at_an_uncertain_place_is_refused(name: str) -> None:
    text = REFUSED[name]
    with pytest.raises(ExpressionError) as caught:
        compile_shell(text)
    assert 0 <= caught.value.offset < len(text)
    if name not in ("white-space control", "tag", "NUL", "expression that cannot be read"):
        assert "args: [" in (caught.value.hint or "")


@pytest.mark.parametrize(
    "text",
    [
        "awk -v limit={{ x }} '$3 > limit' file",
        "sed -n 5p {{ x }}",
        "jq --arg a {{ x }} '.[$a]' file",
        "python3 report.py {{ x }}",
        "grep -c -e {{ x }} file",
        "find . -name {{ x }}",
        "curl -s 'http://host/{{ x }}' -o /tmp/{{ x }}",
        "mosquitto_pub -t 'plant/{{ x }}/set' -m {{ x }}",
        "trap 'rm -f /tmp/a' EXIT; echo {{ x }}",
        "export A={{ x }}",
        "timeout 5 cat {{ x }}",
        "set -eu; set -o pipefail; cat {{ x }}",
        "date +{%F} {{ x }}",
        "echo ${#HOME} ${HOME%/*} $? $$ {{ x }}",
        "docker ps --format {{ '{{.Names}}' }}",
    ],
)
def test_the_safe_way_to_do_the_same_is_taken(text: str) -> None:
    assert compile_shell(text).parameters


def test_the_error_points_to_the_value() -> None:
    text = "echo {{ a }} 'b' `{{ c }}`"
    with pytest.raises(ExpressionError) as caught:
        compile_shell(text)
    assert caught.value.offset == text.index("{{ c")
    with pytest.raises(ExpressionError) as caught:
        compile_shell("echo {{ a }} {{ b.c }}").render({"a": 1, "b": {}})
    assert caught.value.offset == 16
