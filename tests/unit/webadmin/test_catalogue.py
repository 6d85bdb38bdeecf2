"""Every text of the screens has its Chinese one, and the compiled catalogue is the written one."""

import ast
import gettext
import re
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
CATALOGUE = ROOT / "webadmin/locale/zh_Hans/LC_MESSAGES"
_TAG = re.compile(r"""{%\s*translate\s+(?:"([^"]+)"|'([^']+)')""")
_CALL = re.compile(r"""\b(?:_|gettext|gettext_lazy|gettext_noop)\(\s*"((?:[^"\\]|\\.)+)"\s*\)""")
_BLOCK = re.compile(r"{%\s*blocktranslate(?P<how>[^%]*)%}(?P<text>.*?){%\s*endblocktranslate\s*%}", re.DOTALL)


@pytest.fixture(scope="module")
def known() -> gettext.GNUTranslations:
    with (CATALOGUE / "django.mo").open("rb") as file:
        return gettext.GNUTranslations(file)


def in_templates() -> set[str]:
    found: set[str] = set()
    for file in (ROOT / "webadmin/templates").rglob("*.html"):
        text = file.read_text()
        found |= {one or other for one, other in _TAG.findall(text)}
        found |= {_block(match["text"]) for match in _BLOCK.finditer(text)}
    return found


def _block(text: str) -> str:
    text = re.split(r"{%\s*plural\s*%}", text)[0]
    text = re.sub(r"{{\s*(\w+)\s*}}", r"%(\1)s", text)
    return " ".join(line.strip() for line in text.strip().splitlines())


def in_code() -> set[str]:
    files = [*(ROOT / "webadmin").rglob("*.py"), *(ROOT / "appliance/bridges").rglob("*.py")]
    files += [*(ROOT / "appliance/processes").glob("chat*.py"), ROOT / "appliance/processes/notices.py"]
    files += [ROOT / "appliance/tasks/notices.py"]
    files += [ROOT / "appliance/runs/approval_notices.py"]
    files += [ROOT / "appliance/alerts/notices.py", ROOT / "appliance/agent/proposals/notices.py"]
    files += [ROOT / "appliance/agent/explaining/changed.py"]
    files += [ROOT / "appliance/escalations/notices.py", ROOT / "appliance/processes/chat_acks.py"]
    return {text for file in files for text in _CALL.findall(file.read_text())}


def made_elsewhere() -> set[str]:
    """Sentences of other layers, such as what is wrong with a task: the words of every ``say("…")``."""
    found: set[str] = set()
    for file in (ROOT / "appliance").rglob("*.py"):
        text = file.read_text()
        for node in ast.walk(ast.parse(text)) if "say(" in text else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say":
                words = node.args[0]
                if isinstance(words, ast.Constant) and isinstance(words.value, str):
                    found.add(words.value)
    return found


@pytest.mark.parametrize("texts", [in_templates, in_code, made_elsewhere])
def test_every_text_is_translated(texts: Callable[[], set[str]], known: gettext.GNUTranslations) -> None:
    found = texts() - {"API", "Redis"}
    assert len(found) > 100
    assert [
        text for text in sorted(found) if known.gettext(text) == known.ngettext(text, text, 2) == text
    ] == []


def test_the_compiled_catalogue_is_the_written_one(known: gettext.GNUTranslations) -> None:
    written = (CATALOGUE / "django.po").read_text()
    for text in ("Stop everything on this box", "All-stop is engaged", "No problems"):
        assert f'msgstr "{known.gettext(text)}"' in written


def test_a_translation_keeps_the_names_in_its_text() -> None:
    entries = (CATALOGUE / "django.po").read_text().split("\n\n")
    names = re.compile(r"%\((\w+)\)[sdr]")
    for entry in entries:
        source, _, target = entry.partition("msgstr")
        assert set(names.findall(target)) <= set(names.findall(source)), entry
