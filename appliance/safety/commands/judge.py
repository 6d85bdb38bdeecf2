"""The class of one simple command: taken out of its wrappers, then looked up in the tables."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from appliance.safety.commands.arguments import Arguments, Problem, read_arguments
from appliance.safety.commands.around import DEEPEST, Around
from appliance.safety.commands.domain import CommandClass, Judgement, Leaf, Word, strictest
from appliance.safety.commands.places import written
from appliance.safety.commands.programs import BUILTINS, CHECKS
from appliance.safety.commands.schema import Schema, Turn, tables
from appliance.safety.commands.unwrap import UNWRAPPERS

_FOLDERS = frozenset({"/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin"})


def judge(words: Sequence[Word], around: Around) -> list[Leaf]:
    """The leaves of one command line; ``words`` as the program gets them. Never raises."""
    if not words or not words[0].known or words[0].many:
        return around.unknown(words, "which program runs is only known when it runs")
    if around.depth > DEEPEST:
        return around.unknown(words, f"is wrapped more than {DEEPEST} times: nobody can review it")
    folder, slash, name = words[0].text.rpartition("/")
    if slash and folder not in _FOLDERS:
        return around.unknown(
            words, f"`{words[0].text}` does not lie in one of the system's folders of programs"
        )
    if not name:
        return around.unknown(words, "the name of a program is empty")
    if around.dialect and not slash and name in BUILTINS:
        return [around.leaf(words, _guarded(words, around), builtin=True)]
    unwrap = UNWRAPPERS.get(name)
    if unwrap is not None:
        try:
            return unwrap(words, around, judge)
        except Problem as problem:
            return around.unknown(words, f"`{name}` {problem}")
    return table_leaf(words, around)


def table_leaf(words: Sequence[Word], around: Around) -> list[Leaf]:
    """The leaf of a program by the tables alone."""
    return [around.leaf(words, _guarded(words, around))]


def _guarded(words: Sequence[Word], around: Around) -> Judgement:
    name = words[0].text.rpartition("/")[2]
    try:
        return _judged(name, words[1:], around)
    except Problem as problem:
        return Judgement(CommandClass.UNKNOWN, f"`{name}` {problem}", repeatable=False)


def _judged(name: str, arguments: Sequence[Word], around: Around) -> Judgement:
    if around.dialect and name in BUILTINS:
        return BUILTINS[name](name, arguments, around)
    check = CHECKS.get(name)
    if check is not None:
        return check(name, arguments, around)
    schema = tables().get(name)
    if schema is None:
        raise Problem("is not in the tables of programs")
    return by_schema(name, schema, arguments, around)


def by_schema(name: str, schema: Schema, words: Sequence[Word], around: Around) -> Judgement:
    """What the tables say of ``name`` with these arguments. Raises Problem."""
    if schema.free:
        return Judgement(schema.kind, f"`{name}` {schema.says}", schema.repeatable)
    if schema.commands is not None:
        return _subcommand(name, schema, words, around)
    found = read_arguments(schema, words)
    turns = [(turn, value) for _, option, value in found.options if (turn := option.turn)]
    turns += [(turn, None) for turn in _refused_values(schema, found)]
    if schema.operands is not None and len(_counted(found)) > schema.operands:
        if schema.more is None:
            raise Problem(f"has more than {schema.operands} operands")
        turns.append((schema.more, found.operands[-1] if schema.more.write else None))
    return _combined(name, schema, found, turns, around)


def _refused_values(schema: Schema, found: Arguments) -> Iterator[Turn]:
    """What values and operands mean that are not among those that the schema takes as they are."""
    words = [("operand", word) for word in found.operands]
    words += [(name, value) for name, _, value in found.options if value is not None]
    for name, word in words:
        only = schema.only.get(name)
        if only is None or (word.known and only.matches.fullmatch(word.text)):
            continue
        yield only.otherwise if word.known else Turn(CommandClass.UNKNOWN, "gets what only running can tell")


def _counted(found: Arguments) -> list[Word]:
    """The operands; a word that may become several counts as too many."""
    return [word for word in found.operands for _ in range(99 if word.many else 1)]


def _combined(
    name: str, schema: Schema, found: Arguments, turns: list[tuple[Turn, Word | None]], around: Around
) -> Judgement:
    said: list[tuple[CommandClass, str]] = [(schema.kind, f"`{name}` {schema.says}")]
    files: list[str] = []
    for turn, value in turns:
        kind, text = turn.kind, f"`{name}` {turn.says}"
        if turn.write:
            kind, where = written(value or Word("", known=False), around.folders)
            text = f"{text}: {where}"
            files.append(value.shown if value else "…")
        said.append((kind, text))
    for word in _targets(schema, found.operands):
        kind, where = written(word, around.folders)
        files.append(word.shown)
        if kind.rank > schema.kind.rank:
            said.append((kind, f"`{name}` {schema.says}: {where}"))
    if (
        turns
        and not found.operands
        and all(option.turn and option.turn.kind is CommandClass.READ for _, option, _ in found.options)
    ):
        said = said[1:]  # it only answers a question: what it would do otherwise does not count
    kind = strictest(kind for kind, _ in said)
    # What an option said comes before what the program says of itself.
    reason = next(text for one, text in reversed(said) if one is kind)
    return Judgement(kind, reason, schema.repeatable and not turns, tuple(files))


def _targets(schema: Schema, operands: Sequence[Word]) -> Sequence[Word]:
    if schema.targets == "all":
        return operands
    if schema.targets == "rest":
        return operands[1:]
    return operands[-1:] if schema.targets == "last" else ()


def _subcommand(name: str, schema: Schema, words: Sequence[Word], around: Around) -> Judgement:
    """Options of the program, then the word that chooses, then the options of that one."""
    assert schema.commands is not None
    before = read_arguments(_front(schema), words)
    if not before.operands:
        kinds = [option.turn for _, option, _ in before.options if option.turn]
        kind = strictest([schema.kind, *(turn.kind for turn in kinds)])
        return Judgement(kind, f"`{name}` {kinds[0].says if kinds else schema.says}", schema.repeatable)
    chosen = before.operands[0]
    inner = schema.commands.get(chosen.text) if chosen.known else None
    if inner is None:
        raise Problem(f"is asked for {chosen.shown}, which is not in the tables")
    turned = [option.turn for _, option, _ in before.options if option.turn]
    made = by_schema(f"{name} {chosen.text}", inner, before.operands[1:], around)
    kind = strictest([made.kind, *(turn.kind for turn in turned)])
    if kind is made.kind:
        return made
    return Judgement(kind, f"`{name}` {turned[0].says}", repeatable=False, writes=made.writes)


def _front(schema: Schema) -> Schema:
    return replace(schema, permute=False)
