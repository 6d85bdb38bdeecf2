"""What a shell command's text alone decides: its default ``ok_exit`` and whether it only reads."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.actions import shell_text
from appliance.expressions.errors import ExpressionError
from appliance.expressions.shell import compile_shell

BRIEF = "tail -n 100 /var/log/app.log | grep -i error"


def classify_shell(source: str) -> str:
    """Of a command as it is written in a task; one that cannot be saved is never run."""
    try:
        return shell_text.classify_shell(compile_shell(source).script)
    except ExpressionError:
        return "unsafe"


def default_ok_exit(source: str) -> tuple[int, ...]:
    try:
        return shell_text.default_ok_exit(compile_shell(source).script)
    except ExpressionError:
        return (0,)


@pytest.mark.parametrize(
    "script",
    [
        BRIEF,
        "grep x f",
        "LC_ALL=C grep x f",
        "/usr/bin/grep -c x f 2>/dev/null",
        "diff a b",
        "cmp a b",
        "test -f /x",
        "[ -f /x ]",
        "make | grep warning",
        "cd /var/log && grep error app.log",
        "[ -f /x ] && grep y /x",
        "date; grep x f",
        "date\ngrep x f\n",
        'grep "$(date +%F)" f',
        "grep 'a;b' f  # look for it",
        "grep {{ payload.word }} f",
        "missing || grep x f",
    ],
)
def test_one_is_an_answer_where_the_last_command_asks_a_question(script: str) -> None:
    assert default_ok_exit(script) == (0, 1)


@pytest.mark.parametrize(
    "script",
    [
        "",
        "ls",
        "grep x f | wc -l",
        "grep x f || true",
        "grep x f && echo found",
        "make && grep x f",
        "echo grep",
        "! grep x f",
        "(grep x f)",
        "if true; then grep x f; fi",
        "grep x <<EOF\nx\nEOF",
        "'unclosed | grep x",
        "{{ command }} x",
        "make & grep x f |& cat",
    ],
)
def test_one_is_a_failure_everywhere_else(script: str) -> None:
    assert default_ok_exit(script) == (0,)


@pytest.mark.parametrize(
    "script",
    [
        BRIEF,
        "uptime",
        "cat /etc/os-release",
        "/bin/ls -l /var/log/*.log 2>/dev/null",
        "df -h | sort -rn | head -n 5",
        "ps aux 2>&1 | grep -v grep | wc -l >/dev/null",
        "du -s /var/log; free -m && uname -a || true",
        "date",
        "date -u '+%F %T'",
        "date -d yesterday +%F",
        "date --date=yesterday",
        "sort -t, -k2,2n /tmp/x | uniq -c",
        "uniq -d in",
        "cut -d: -f1 /etc/passwd | tr a-z A-Z",
        "stat -c %s /x",
        "test -e {{ payload.path }}",
        'grep "{{ payload.word }}" /var/log/app.log',
        'tail -n "$1" /var/log/app.log',
        "[ -f /x ]",
        "grep '{{ a | default('x') }}' f",
        "sleep 1\n",
        "tail -n 5 \\\n  /var/log/app.log",
        "echo a |\n cat",
        "cat < x",
        "(cat x)",
        "{ cat x; }",
        "! cat x",
        "A=1",
        "cat <<E\nx\nE",
    ],
)
def test_plain_reading_is_pure(script: str) -> None:
    assert classify_shell(script) == "pure"


@pytest.mark.parametrize(
    "script",
    [
        "",
        "   # nothing",
        "rm -rf /",
        "cat x > y",
        "cat x >> y",
        "cat x >| y",
        "cat <> x",
        "cat x >&file",
        "cat x 2>y",
        "> y",
        "cat x >{{ where }}",
        "cat x > /dev/null2",
        "sort -o x x",
        "sort -ro x x",
        "sort --output=x x",
        "sort --outp x x",
        "sort x -'o' y",
        'sort x "-o" y',
        "sort x \\-o y",
        "sort --compress-program=evil x",
        "sort {{ payload.file }}",
        "sort *",
        "sort $1",
        "sort '{{ a }}'",
        "date '{{ a }}'",
        "date -s tomorrow",
        "date --set=tomorrow",
        "date --se tomorrow",
        "date -us tomorrow",
        "date 010203042026",
        "date {{ payload.x }}",
        "uniq in out",
        "uniq -c in out",
        "uniq - out",
        "uniq {{ a }}",
        "uniq *",
        "find / -delete",
        "awk 'BEGIN{system(\"rm x\")}'",
        "sed -i s/a/b/ x",
        "tee x",
        "xargs rm",
        "env rm x",
        "hostname evil",
        "cat x & rm y",
        "cat x |& rm",
        "cat x | rm y",
        "cat `rm y`",
        "cat $(rm y)",
        'cat "$(rm y)"',
        'cat "`rm y`"',
        "cat $((x=1))",
        "cat ${x:=1}",
        "cat() { rm x; }; cat",
        "if true; then rm x; fi",
        "PATH=/tmp cat x",
        "{{ command }} x",
        "$1 x",
        "./cat x",
        "/tmp/cat x",
        "/usr/bin/../../tmp/cat x",
        "cat /dev/ttyUSB0",
        "cat '",
        'cat "',
        "| cat",
        "cat |",
        "ec\\\nho x; rm y",
        "cat x\rrm y; reboot",
    ],
)
def test_whatever_may_change_something_or_is_not_certain_is_unsafe(script: str) -> None:
    assert classify_shell(script) == "unsafe"


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="cat ls|&;<>()$`\"'\\{}#*\n rm-o=1", max_size=40))
def test_no_text_makes_the_reader_fail_or_lets_a_dangerous_command_through(script: str) -> None:
    assert classify_shell(script) in ("pure", "unsafe")
    assert default_ok_exit(script) in ((0,), (0, 1))


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["cat x", "ls -l", "grep a b", "uptime"]), st.sampled_from(["|", "&&", "||", ";", "\n"])
)
def test_one_unknown_command_spoils_the_whole_line(read: str, operator: str) -> None:
    assert classify_shell(f"{read} {operator} {read}") == "pure"
    assert classify_shell(f"{read} {operator} reboot") == "unsafe"
    assert classify_shell(f"reboot {operator} {read}") == "unsafe"


def test_a_line_that_only_seems_continued_in_a_comment_is_not_overlooked() -> None:
    assert classify_shell("echo hi # foo \\\nreboot now") == "unsafe"
