"""``find``: its tests, and the commands that it starts for what it finds."""

from collections.abc import Sequence

from appliance.safety.commands.arguments import Problem
from appliance.safety.commands.around import Around
from appliance.safety.commands.domain import CommandClass, Judgement, Leaf, Word
from appliance.safety.commands.places import written
from appliance.safety.commands.unwrap.shape import Judge, Unwrap, words_of

_ALONE = words_of(
    """( ) ! , -a -and -o -or -not -true -false -print -print0 -ls -prune -quit -depth -d -daystart -empty
    -executable -readable -writable -follow -mount -xdev -noleaf -nogroup -nouser -warn -nowarn
    -ignore_readdir_race -noignore_readdir_race"""
)
_VALUED = words_of(
    """-amin -anewer -atime -cmin -cnewer -ctime -fstype -gid -group -ilname -iname -inum -ipath -iregex
    -iwholename -links -lname -maxdepth -mindepth -mmin -mtime -name -newer -path -perm -regex -regextype
    -samefile -size -type -uid -used -user -wholename -xtype -context -printf -newermt -newerct -newerat"""
)
_EXEC = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_WRITES = {"-fprint": 1, "-fprint0": 1, "-fls": 1, "-fprintf": 2}


def _find(words: Sequence[Word], around: Around, judge: Judge) -> list[Leaf]:
    starts, at = _starts(words)
    leaves: list[Leaf] = []
    judgement = Judgement(CommandClass.READ, "`find` lists files")
    while at < len(words):
        word = words[at]
        if not word.known:
            raise Problem("has a test that is only known when it runs")
        if word.text in _ALONE:
            at += 1
        elif word.text in _VALUED:
            if at + 1 >= len(words) or words[at + 1].many:
                raise Problem(f"lacks the value of {word.text}")
            at += 2
        elif word.text == "-delete":
            judgement = Judgement(CommandClass.DESTROY, "`find … -delete` removes files", repeatable=False)
            at += 1
        elif word.text in _WRITES:
            judgement = _writes(words, at, judgement, around)
            at += 1 + _WRITES[word.text]
        elif word.text in _EXEC:
            inner, at = _command(words, at, starts)
            leaves += judge(inner, around.inside(words[0].text))
        else:
            raise Problem(f"is given {word.shown}, which is not in the tables")
    return [around.leaf(words, judgement), *leaves]


def _starts(words: Sequence[Word]) -> tuple[list[Word], int]:
    """The folders to begin at, and where the tests begin."""
    at = 1
    while at < len(words) and words[at].text in ("-H", "-L", "-P"):
        at += 1
    first = at
    while at < len(words) and not words[at].may_be_option and words[at].text not in ("(", "!", ",", ")"):
        at += 1
    return list(words[first:at]), at


def _writes(words: Sequence[Word], at: int, so_far: Judgement, around: Around) -> Judgement:
    if at + _WRITES[words[at].text] >= len(words):
        raise Problem(f"lacks the value of {words[at].text}")
    kind, where = written(words[at + 1], around.folders)
    if kind.rank < so_far.kind.rank:
        return so_far
    return Judgement(kind, f"`find … {words[at].text}` writes {where}", False, (words[at + 1].shown,))


def _command(words: Sequence[Word], at: int, starts: Sequence[Word]) -> tuple[list[Word], int]:
    """The inner command; what is found begins like the folders that the search begins at."""
    inner: list[Word] = []
    begin = _common(starts)
    by_folder = words[at].text in ("-execdir", "-okdir")
    for number in range(at + 1, len(words)):
        word = words[number]
        if word.known and (word.text == ";" or (word.text == "+" and inner and inner[-1].many)):
            return inner, number + 1
        if word.known and word.text == "{}":
            inner.append(Word("./" if by_folder else begin, known=False, many=True))
        elif word.known and "{}" in word.text:
            inner.append(Word(word.text.partition("{}")[0], known=False))
        else:
            inner.append(word)
    raise Problem("has a command without an end")


def _common(starts: Sequence[Word]) -> str:
    """How the names of found files surely begin; "" where that is not known."""
    texts = {start.text[:1] for start in starts} or {"."}
    return texts.pop() if len(texts) == 1 and "" not in texts else ""


FINDING: dict[str, Unwrap] = {"find": _find}
