"""Programs that run a command on another machine or in a container, where nobody checks what its programs are."""

import re
from collections.abc import Sequence

from appliance.safety.commands.arguments import Problem
from appliance.safety.commands.around import Around
from appliance.safety.commands.domain import CommandClass, Leaf, Word
from appliance.safety.commands.unwrap.shape import Judge, Unwrap, front, given, options, value_of
from appliance.safety.commands.unwrap.shells import script_leaves

_SAFE_SETTING = re.compile(
    r"(?:BatchMode|ConnectTimeout|ConnectionAttempts|StrictHostKeyChecking|ServerAliveInterval|ServerAliveCountMax|"
    r"LogLevel|PasswordAuthentication|IdentitiesOnly|Port|User|Compression|AddressFamily|RequestTTY)=[\w.+-]+"
)


def _ssh(words: Sequence[Word], around: Around, judge: Judge) -> list[Leaf]:
    """The words after the host are joined, and the shell of that user there reads them."""
    found, rest = front(_SSH, words, skip=1)
    host = found.operands[0]
    if not host.known:
        raise Problem("goes to a machine that is only known when it runs")
    for name, _, value in found.options:
        if name == "-o" and not (value and value.known and _SAFE_SETTING.fullmatch(value.text)):
            raise Problem(f"is given -o {value.shown if value else ''}, a setting that is not in the tables")
    if not rest:
        raise Problem("opens a shell on another machine")
    if not all(word.known for word in rest):
        raise Problem("is given a script that is only known when it runs")
    inside = around.inside(
        words[0].text, floor=CommandClass.CHANGE, reason=f"it runs on {host.text}, whose programs are not checked",
        local=False, repeatable=False,
    )  # fmt: skip
    return script_leaves(Word(" ".join(word.text for word in rest)), [], inside, dialect="bash", binary=None)


def _container(words: Sequence[Word], around: Around) -> Around:
    name = words[0].text.rpartition("/")[2]
    return around.inside(
        f"{words[0].text}", floor=CommandClass.CHANGE,
        reason=f"`{name} exec` runs it in a container, whose programs are not checked", local=False, repeatable=False,
    )  # fmt: skip


def _docker(words: Sequence[Word], around: Around, judge: Judge) -> list[Leaf]:
    """``docker exec``; everything else is in the tables."""
    if len(words) < 2 or words[1].text != "exec" or not words[1].known:
        from appliance.safety.commands.judge import table_leaf

        return table_leaf(words, around)
    found, inner = front(_DOCKER_EXEC, words[1:], skip=1)
    if value_of(found, "-e", "--env") is not None or given(found, "--privileged"):
        raise Problem("exec changes the rights or the environment of what it runs")
    if not inner:
        raise Problem("exec is given no command")
    return judge(inner, _container(words, around))


def _kubectl(words: Sequence[Word], around: Around, judge: Judge) -> list[Leaf]:
    if len(words) < 2 or words[1].text != "exec" or not words[1].known:
        from appliance.safety.commands.judge import table_leaf

        return table_leaf(words, around)
    at = next((n for n, word in enumerate(words) if word.known and word.text == "--"), None)
    if at is None or at + 1 >= len(words):
        raise Problem("exec is given no command behind --")
    _, more = front(_KUBECTL_EXEC, [*words[1:at]], skip=1)
    if more:
        raise Problem("exec is given a command before --")
    return judge(words[at + 1 :], _container(words, around))


_SSH = options("-4 -6 -a -C -k -n -q -T -t -v -x", "-b -c -i -l -m -p -o")
_DOCKER_EXEC = options(
    "-i --interactive -t --tty -d --detach --privileged", "-u --user -w --workdir -e --env"
)
_KUBECTL_EXEC = options("-i --stdin -t --tty -q --quiet", "-n --namespace -c --container", permute=True)

ELSEWHERE: dict[str, Unwrap] = {"ssh": _ssh, "docker": _docker, "podman": _docker, "kubectl": _kubectl}
