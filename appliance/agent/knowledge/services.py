"""Searching and reading the box's runbooks: the only door for other areas."""

import threading
from functools import cache
from pathlib import Path

from appliance.accounts.domain import Ability
from appliance.accounts.principal import Principal
from appliance.agent.errors import KnowledgeUnknown
from appliance.agent.knowledge.folder import Trouble
from appliance.agent.knowledge.index import FileSeen, Hit, Index
from appliance.agent.knowledge.sections import Section
from appliance.lib.config import get_config
from appliance.lib.home import Home
from appliance.lib.located.issues import suggestion_or_list

_making = threading.Lock()


def folder(home: Home | None = None) -> Path:
    return (home or get_config().home).path / "knowledge"


def search(question: str, by: Principal, *, most: int = 6, root: Path | None = None) -> list[Hit]:
    """The nearest passages, the best first. Raises NotAllowed."""
    by.require(Ability.VIEW)
    return _index(root).search(question, most)


def files(by: Principal, *, root: Path | None = None) -> list[FileSeen]:
    """Every file that is searched. Raises NotAllowed."""
    by.require(Ability.VIEW)
    return _index(root).files()


def troubles(by: Principal, *, root: Path | None = None) -> list[Trouble]:
    """What is in the folder and is not searched. Raises NotAllowed."""
    by.require(Ability.VIEW)
    return _index(root).troubles()


def sections_of(file: str, by: Principal, *, root: Path | None = None) -> list[Section]:
    """One file, as it is now. Raises NotAllowed, KnowledgeUnknown."""
    by.require(Ability.VIEW)
    index = _index(root)
    found = index.sections(file)
    if not found:
        known = [one.file for one in index.files()]
        raise KnowledgeUnknown(f"there is no file {file[:80]!r}", hint=suggestion_or_list(file, known[:50]))
    return found


def section(file: str, heading: str, by: Principal, *, root: Path | None = None) -> Section:
    """One section by its heading, or by the end of it; without one, the first. Raises NotAllowed, KnowledgeUnknown."""
    found = sections_of(file, by, root=root)
    wanted = heading.strip().casefold()
    for one in found:
        if not wanted or wanted in (one.heading.casefold(), one.heading.casefold().rpartition(" › ")[2]):
            return one
    headings = [one.heading for one in found if one.heading]
    raise KnowledgeUnknown(
        f"{file[:80]} has no section {heading[:80]!r}", hint=suggestion_or_list(heading, headings[:30])
    )


def _index(root: Path | None) -> Index:
    with _making:
        return _made(root or folder())


@cache
def _made(root: Path) -> Index:
    return Index(root)
