"""What a command is wrapped in: who starts it, with whose rights, and on which machine."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from appliance.safety.commands.domain import CommandClass, Judgement, Leaf, Word, strictest
from appliance.safety.commands.places import is_device, is_secret

DEEPEST = 8
_NAMES_ONLY = frozenset(
    {"echo", "printf", "test", "[", "ls", "stat", "basename", "dirname", "cd", "realpath"}
)
"""Programs that look at a path's name or its rights, not at what it holds."""


@dataclass(frozen=True, slots=True)
class Around:
    """``dialect``: the shell that reads it (sh or bash), whose own commands are no programs; "" where none does.

    ``local``: whether its programs are those of this machine and of this root folder. ``floor``: the mildest
    class that anything in here can have, with its sentence. ``folders``: where it may stand; "" is the private
    working folder.
    """

    wrappers: tuple[str, ...] = ()
    binaries: tuple[str, ...] = ()
    dialect: str = ""
    local: bool = True
    depth: int = 0
    floor: CommandClass = CommandClass.READ
    floor_reason: str = ""
    repeatable: bool = True
    folders: tuple[str, ...] = ("",)

    def inside(
        self, wrapper: str, *, dialect: str = "", floor: CommandClass = CommandClass.READ, reason: str = "",
        local: bool = True, repeatable: bool = True,
    ) -> "Around":  # fmt: skip
        """The same with one more wrapper, which is itself a program of this machine while ``self`` is local."""
        stricter = floor.rank > self.floor.rank
        return replace(
            self,
            wrappers=(*self.wrappers, wrapper),
            binaries=(*self.binaries, wrapper) if self.local else self.binaries,
            dialect=dialect,
            local=self.local and local,
            depth=self.depth + 1,
            floor=floor if stricter else self.floor,
            floor_reason=reason if stricter else self.floor_reason,
            repeatable=self.repeatable and repeatable,
        )

    def leaf(self, words: Sequence[Word], judgement: Judgement, *, builtin: bool = False) -> Leaf:
        """The leaf for one judged command."""
        program = words[0].text.rpartition("/")[2]
        kind, reason = judgement.kind, judgement.reason
        secret = next((w for w in words[1:] if is_secret(w, self.folders)), None)
        if secret is not None and program not in _NAMES_ONLY and kind.rank < CommandClass.UNKNOWN.rank:
            kind, reason = CommandClass.UNKNOWN, f"`{program}` handles {secret.shown}, which holds secrets"
        if self.floor.rank > kind.rank:
            reason = f"{reason}; {self.floor_reason}"
        device = any(is_device(word) for word in words[1:])
        return Leaf(
            argv=tuple(word.shown for word in words),
            program=program,
            kind=strictest((kind, self.floor)),
            reason=reason,
            wrappers=self.wrappers,
            writes=judgement.writes,
            binaries=self.binaries if builtin or not self.local else (*self.binaries, words[0].text),
            repeatable=judgement.repeatable and self.repeatable and not device,
        )

    def unknown(self, words: Sequence[Word], reason: str) -> list[Leaf]:
        """One leaf that is not understood; ``reason`` is a whole sentence."""
        argv = tuple(word.shown for word in words)
        binaries = self.binaries
        if words and words[0].known and self.local:
            binaries = (*binaries, words[0].text)
        name = argv[0].rpartition("/")[2] if argv else ""
        return [Leaf(argv, name, CommandClass.UNKNOWN, reason, self.wrappers, (), binaries, repeatable=False)]
