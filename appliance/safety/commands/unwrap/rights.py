"""Programs that run another one as somebody else: what they run changes at least who acts."""

from collections.abc import Sequence

from appliance.safety.commands.arguments import Problem
from appliance.safety.commands.around import Around
from appliance.safety.commands.domain import CommandClass, Leaf, Word
from appliance.safety.commands.environment import harmless
from appliance.safety.commands.unwrap.shape import Judge, Unwrap, front, options, value_of
from appliance.safety.commands.unwrap.shells import script_leaves


def _as(words: Sequence[Word], around: Around) -> Around:
    name = words[0].text.rpartition("/")[2]
    return around.inside(
        words[0].text,
        floor=CommandClass.CHANGE,
        reason=f"`{name}` runs it with another user's rights",
        repeatable=False,
    )


def _sudo(words: Sequence[Word], around: Around, judge: Judge) -> list[Leaf]:
    _, inner = front(_SUDO, words)
    while inner and "=" in inner[0].text:
        if not harmless(inner[0].text.partition("=")[0]) or not inner[0].known:
            raise Problem(f"sets {inner[0].shown}, which may decide what programs load")
        inner = inner[1:]
    if not inner:
        raise Problem("is given no command")
    return judge(inner, _as(words, around))


def _doas(words: Sequence[Word], around: Around, judge: Judge) -> list[Leaf]:
    _, inner = front(options("-n", "-u"), words)
    if not inner:
        raise Problem("is given no command")
    return judge(inner, _as(words, around))


def _su(words: Sequence[Word], around: Around, judge: Judge) -> list[Leaf]:
    """``su -c SCRIPT [USER]``; the login shell of that user reads the script."""
    found, rest = front(_SU, [words[0], *_user_last(words[1:])])
    script = value_of(found, "-c", "--command")
    if script is None:
        raise Problem("opens a shell")
    if len(rest) > 1:
        raise Problem("hands words to another user's shell")
    return script_leaves(script, [], _as(words, around), dialect="bash", binary=None)


def _user_last(words: Sequence[Word]) -> list[Word]:
    """``su USER -c …`` and ``su - USER -c …`` with the user where the options end."""
    plain = [word for word in words if word.known and word.text in ("-", "-l", "--login")]
    rest = [word for word in words if word not in plain]
    if rest and not rest[0].may_be_option:
        return [*rest[1:], rest[0]]
    return rest


def _runuser(words: Sequence[Word], around: Around, judge: Judge) -> list[Leaf]:
    found, inner = front(options("", "-u --user"), words)
    if value_of(found, "-u", "--user") is None or not inner:
        raise Problem("opens a shell")
    return judge(inner, _as(words, around))


def _root_folder(words: Sequence[Word], around: Around, judge: Judge) -> list[Leaf]:
    raise Problem("runs programs below another root folder, which are not those that are checked")


def _unshare(words: Sequence[Word], around: Around, judge: Judge) -> list[Leaf]:
    _, inner = front(_UNSHARE, words)
    if not inner:
        raise Problem("opens a shell")
    return judge(inner, _as(words, around))


_SUDO = options(
    "-n --non-interactive -H --set-home -k --reset-timestamp -b --background", "-u --user -g --group"
)
_SU = options("-", "-c --command")
_UNSHARE = options(
    "-m --mount -u --uts -i --ipc -n --net -p --pid -U --user -C --cgroup -f --fork -r --map-root-user"
)

RIGHTS: dict[str, Unwrap] = {
    "sudo": _sudo,
    "doas": _doas,
    "su": _su,
    "runuser": _runuser,
    "chroot": _root_folder,
    "unshare": _unshare,
}
