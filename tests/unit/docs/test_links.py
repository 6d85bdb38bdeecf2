"""Every link of the pages leads somewhere, and every file that they name is there."""

import re
from pathlib import Path

from tests.unit.docs.pages import PAGES, ROOT, code_words, prose, title

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_ROOTS = ("appliance/", "webadmin/", "docs/", "examples/", "tests/", ".ci/")
_FILES = ("manage.py", "Makefile", "README.md", "requirements.txt", "requirements-dev.txt", "pyproject.toml")


def anchors(page: Path) -> set[str]:
    """The anchors that headings get: small letters, words joined by dashes."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_relative_link_leads_to_a_file() -> None:
    for page in PAGES:
        for link in _LINK.findall(prose(page)):
            if "://" in link or link.startswith("mailto:"):
                continue
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.is_file(), f"{title(page)} links to {link}"
            assert target.is_relative_to(ROOT), f"{title(page)} links out of the repository: {link}"
            assert not anchor or anchor in anchors(target), f"{title(page)} links to {link}"


def test_every_file_of_the_product_that_a_page_names_is_there() -> None:
    for page in PAGES:
        for word in code_words(page):
            path = word.partition(":")[0]
            if (path.startswith(_ROOTS) or path in _FILES) and not re.search(r"[*<>{} ]", path):
                assert (ROOT / path).exists(), f"{title(page)} names {word}"


def test_every_page_is_reached_from_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in _LINK.findall(prose(index))}
    assert {page for page in PAGES if page != index} <= linked
