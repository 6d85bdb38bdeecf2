"""``tar``: what ``-f`` means depends on what it is to do, and several options run a program."""

from collections.abc import Sequence

from appliance.safety.commands.arguments import Problem, read_arguments
from appliance.safety.commands.around import Around
from appliance.safety.commands.domain import CommandClass, Judgement, Word, strictest
from appliance.safety.commands.places import written
from appliance.safety.commands.programs.shape import changes, reads
from appliance.safety.commands.schema import Option, Schema

_FLAGS = """-v -z -j -J -a -k -m -p -h -S -W -O -n -P -l --gzip --bzip2 --xz --zstd --auto-compress --verbose
    --keep-old-files --keep-newer-files --skip-old-files --overwrite --touch --preserve-permissions
    --same-permissions --no-same-owner --same-owner --numeric-owner --no-same-permissions --dereference --sparse
    --to-stdout --wildcards --no-wildcards --anchored --one-file-system --totals --xattrs --acls --no-recursion
    --exclude-vcs --absolute-names --full-time"""
_VALUES = """-C --directory --exclude -X --exclude-from --strip-components --transform --xform
    --owner --group --mode --mtime --sort --format --warning --newer -N -g --listed-incremental --level"""
_MODES = {
    "-c": "create", "--create": "create", "-r": "create", "--append": "create", "-u": "create", "--update": "create",
    "-A": "create", "-x": "extract", "--extract": "extract", "--get": "extract", "-t": "list", "--list": "list",
    "-d": "list", "--diff": "list", "--compare": "list",
}  # fmt: skip
_RECORD = frozenset({"-g", "--listed-incremental"})
_ARCHIVE = frozenset({"-f", "--file"})
_FOLDER = frozenset({"-C", "--directory"})
_OPTIONS = Schema(
    options={
        **{
            name: Option("") for name in [*_FLAGS.split(), *_MODES, "--version", "--delete", "--remove-files"]
        },
        **{name: Option("=") for name in [*_VALUES.split(), "-f", "--file"]},
    }
)


def tar(name: str, words: Sequence[Word], around: Around) -> Judgement:
    """Lists, makes or unpacks an archive. ``xzf`` without a dash counts as options."""
    first = words[0] if words else Word("")
    if first.known and first.text and not first.text.startswith("-"):
        words = [Word(f"-{first.text}"), *words[1:]]
        if not _in_order(first.text):
            raise Problem("is given options in the old way that are not followed")
    found = read_arguments(_OPTIONS, words)
    asked = {option for option, _, _ in found.options}
    modes = {_MODES[option] for option in asked if option in _MODES}
    if asked & {"--delete", "--remove-files"}:
        return Judgement(CommandClass.DESTROY, f"`{name}` removes files", False)
    if len(modes) != 1:
        if asked == {"--version"}:
            return reads(name, "says its version")
        raise Problem("is asked for nothing, or for several things")
    values = {o: v for o, _, v in found.options if v is not None}
    for option in ("--transform", "--xform"):
        if (value := values.get(option)) and "e" in value.text.rpartition(value.text[1:2])[2]:
            raise Problem("changes names by running a program")
    if (asked & _RECORD) and modes == {"list"}:
        raise Problem("writes a record of what it lists")
    counted = (_RECORD, _ARCHIVE, _FOLDER) if modes == {"extract"} else (_RECORD, _ARCHIVE)
    if any(sum(option in names for option, _, _ in found.options) > 1 for names in counted):
        raise Problem("is given the same option twice, of which more than the last counts")
    archive = values.get("-f") or values.get("--file") or Word("-")
    if not archive.known or ":" in archive.text:
        raise Problem("uses an archive on another machine, or one that is only known when it runs")
    made = _by_mode(name, modes.pop(), archive, asked, values, around)
    return _with_record(name, made, values, around)


def _with_record(name: str, made: Judgement, values: dict[str, Word], around: Around) -> Judgement:
    """The record of an incremental archive is written beside it."""
    record = values.get("-g") or values.get("--listed-incremental")
    if record is None:
        return made
    kind, where = written(record, around.folders)
    reason = made.reason if made.kind.rank > kind.rank else f"`{name}` writes its record: {where}"
    return Judgement(strictest([made.kind, kind]), reason, False, (*made.writes, record.shown))


def _in_order(letters: str) -> bool:
    """Without a dash each value stands in its own word behind; that is the same for one letter at the end only."""
    return all(f"-{letter}" in _OPTIONS.options for letter in letters) and not any(
        _OPTIONS.options[f"-{letter}"].takes for letter in letters[:-1]
    )


def _by_mode(
    name: str, mode: str, archive: Word, asked: set[str], values: dict[str, Word], around: Around
) -> Judgement:
    if mode == "list":
        return reads(name, "lists an archive")
    if mode == "create":
        if archive.text == "-":
            return reads(name, "packs files")
        kind, where = written(archive, around.folders)
        return Judgement(kind, f"`{name}` writes {where}", False, (archive.shown,))
    if asked & {"-O", "--to-stdout"}:
        return reads(name, "prints files of an archive")
    target = values.get("-C") or values.get("--directory") or Word(".")
    kind, where = written(target, around.folders)
    if asked & {"-P", "--absolute-names"}:
        kind, where = CommandClass.UNKNOWN, "wherever the archive says"
    made = changes(name, "unpacks files")
    return Judgement(strictest([made.kind, kind]), f"`{name}` unpacks into {where}", False, (target.shown,))
