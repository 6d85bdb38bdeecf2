"""Programs that only change how the next one runs: its priority, its time, its environment."""

from collections.abc import Sequence

from appliance.safety.commands.arguments import Problem
from appliance.safety.commands.around import Around
from appliance.safety.commands.domain import CommandClass, Judgement, Leaf, Word
from appliance.safety.commands.environment import dangerous, harmless
from appliance.safety.commands.places import written
from appliance.safety.commands.schema import Schema
from appliance.safety.commands.unwrap.shape import Judge, Unwrap, front, given, options, value_of


def _prefix(schema: Schema, skip: int = 0, alone: str = "") -> Unwrap:
    """A wrapper with these options and ``skip`` operands of its own. ``alone``: what it says without a command."""

    def unwrap(words: Sequence[Word], around: Around, judge: Judge) -> list[Leaf]:
        _, inner = front(schema, words, skip)
        name = words[0].text.rpartition("/")[2]
        if not inner:
            if not alone:
                raise Problem("is given no command")
            return [around.leaf(words, Judgement(CommandClass.READ, f"`{name}` {alone}"))]
        return judge(inner, around.inside(words[0].text))

    return unwrap


def _env(words: Sequence[Word], around: Around, judge: Judge) -> list[Leaf]:
    found, rest = front(_ENV, words)
    while rest and "=" in rest[0].text:
        name = rest[0].text.partition("=")[0]
        if not harmless(name):
            raise Problem(f"sets {name}, which may decide what programs load")
        rest = rest[1:]
    if rest and not rest[0].known:
        raise Problem("starts what is only known when it runs")
    if any(dangerous(word.text) for name, _, word in found.options if word and name in ("-u", "--unset")):
        raise Problem("takes away a variable that decides what programs load")
    if not rest:
        return [around.leaf(words, Judgement(CommandClass.READ, "`env` prints the environment"))]
    return judge(rest, around.inside(words[0].text))


def _time(words: Sequence[Word], around: Around, judge: Judge) -> list[Leaf]:
    found, inner = front(_TIME, words)
    file = value_of(found, "-o", "--output")
    if not inner:
        raise Problem("is given no command")
    if file is None:
        return judge(inner, around.inside(words[0].text))
    kind, where = written(file, around.folders)
    return judge(inner, around.inside(words[0].text, floor=kind, reason=f"`time` writes {where}"))


def _xargs(words: Sequence[Word], around: Around, judge: Judge) -> list[Leaf]:
    """The words that it reads are appended, or put where ``-I`` says: none of them is known.

    With ``-n`` or ``-L`` beside ``-I`` the last one counts for some, so that the place of the words is not known.
    """
    found, inner = front(_XARGS, words)
    if given(found, "-a", "--arg-file", "-p", "--interactive", "-o", "--open-tty"):
        raise Problem("takes its words from a file or asks at a terminal")
    inner = inner or [Word("echo")]
    if not given(found, *_REPLACES):
        return judge([*inner, Word("", known=False, many=True)], around.inside(words[0].text))
    if given(found, *_COUNTS):
        raise Problem("is told both where its words belong and how many of them to take")
    mark = value_of(found, *_REPLACES) or Word("{}")
    if not mark.known or not mark.text:
        raise Problem("replaces a mark that is empty or only known when it runs")
    return judge([_replaced(word, mark.text) for word in inner], around.inside(words[0].text))


def _replaced(word: Word, mark: str) -> Word:
    before, found, _ = word.text.partition(mark)
    return Word(before, known=False, many=word.many) if found else word


def _flock(words: Sequence[Word], around: Around, judge: Judge) -> list[Leaf]:
    from appliance.safety.commands.unwrap.shells import sh_leaves

    found, rest = front(_FLOCK, words, skip=1)
    if given(found, "-c", "--command"):
        raise Problem("is given its script in a way that is not followed")
    kind, where = written(found.operands[0], around.folders)
    inside = around.inside(words[0].text, floor=kind, reason=f"`flock` makes {where} where it is not there")
    if len(rest) == 2 and rest[0].text in ("-c", "--command") and rest[0].known:
        return sh_leaves(rest[1], inside)
    if not rest or rest[0].may_be_option:
        raise Problem("is given no command")
    return judge(rest, inside)


def _watch(words: Sequence[Word], around: Around, judge: Judge) -> list[Leaf]:
    """It never ends by itself; without ``-x`` its words are joined and read by ``sh``."""
    from appliance.safety.commands.unwrap.shells import sh_leaves

    found, inner = front(_WATCH, words)
    if not inner:
        raise Problem("is given no command")
    inside = around.inside(words[0].text, repeatable=False)
    if given(found, "-x", "--exec"):
        return judge(inner, inside)
    if not all(word.known for word in inner):
        raise Problem("is given a script that is only known when it runs")
    return sh_leaves(Word(" ".join(word.text for word in inner)), inside)


def _command(words: Sequence[Word], around: Around, judge: Judge) -> list[Leaf]:
    """The shell's own ``command``: ``-v`` and ``-V`` say what a name is."""
    found, inner = front(options("-v -V -p"), words)
    if given(found, "-v", "-V"):
        return [
            around.leaf(words, Judgement(CommandClass.READ, "`command -v` says what a name is"), builtin=True)
        ]
    if not inner or given(found, "-p") or not around.dialect:
        raise Problem("is used in a way that is not followed")
    return judge(inner, around)


_REPLACES = ("-I", "-i", "--replace")
_COUNTS = ("-n", "--max-args", "-L", "-l", "--max-lines")
_ENV = options("-i --ignore-environment -0 --null -v --debug", "-u --unset")
_TIME = options("-p -v -a --portability --verbose --append", "-o --output -f --format")
_XARGS = options(
    "-0 --null -r --no-run-if-empty -t --verbose -x --exit -p --interactive -o --open-tty",
    "-n --max-args -L -P --max-procs -d --delimiter -s --max-chars -E -I -a --arg-file",
    "-i --replace -l --max-lines -e",
)
_FLOCK = options(
    "-s --shared -x -e --exclusive -u --unlock -n --nb --nonblock -o --close -F --no-fork -v --verbose -c --command",
    "-w --wait --timeout -E --conflict-exit-code",
)
_WATCH = options(
    "-b --beep -c --color -e --errexit -g --chgexit -t --no-title -x --exec -p --precise -w --no-wrap",
    "-n --interval",
    "-d --differences",
)

PREFIXES: dict[str, Unwrap] = {
    "env": _env,
    "nice": _prefix(options("", "-n --adjustment", numeric=True), alone="prints its priority"),
    "ionice": _prefix(options("-t --ignore", "-c --class -n --classdata"), alone="prints its priority"),
    "timeout": _prefix(
        options("--foreground --preserve-status -v --verbose", "-s --signal -k --kill-after"), skip=1
    ),
    "nohup": _prefix(options()),
    "setsid": _prefix(options("-c --ctty -f --fork -w --wait")),
    "stdbuf": _prefix(options("", "-i --input -o --output -e --error")),
    "chrt": _prefix(
        options("-f --fifo -r --rr -o --other -b --batch -i --idle -R --reset-on-fork -v"), skip=1
    ),
    "taskset": _prefix(options("-c --cpu-list"), skip=1),
    "time": _time,
    "xargs": _xargs,
    "flock": _flock,
    "watch": _watch,
    "command": _command,
}
