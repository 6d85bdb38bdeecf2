"""Runbooks in the browser: the list, the search, and nothing of a file's own HTML."""

from collections.abc import Callable
from pathlib import Path

import pytest
from django.test import Client
from django.utils.translation import gettext, override

from appliance.accounts.domain import Role
from appliance.agent.knowledge import services
from webadmin.runbook import to_html, to_words

Browser = Callable[[Role], Client]
HOSTILE = """# Pumps <script>alert(1)</script>

<img src=x onerror=alert(2)> and ![a picture](http://evil.example/p.png)

[bad](javascript:alert(3)) [data](data:text/html,x) [out](https://example.com/) [other](../valves.md) [gone](gone.md)
[file](file:///etc/passwd) [page](/tasks/)

| a | b |
|--:|---|
| 1 | 2 |
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(services, "folder", lambda home=None: tmp_path)
    return tmp_path


def test_an_empty_folder_says_what_to_do(browser: Browser, root: Path) -> None:
    said = browser(Role.VIEWER).get("/knowledge/").content.decode()
    assert "No runbooks yet" in said
    assert str(root) in said


def test_list_search_and_page(browser: Browser, root: Path) -> None:
    (root / "pumps").mkdir()
    (root / "pumps" / "hot.md").write_text("# Hot pumps\n\n## Cool it down\n\nOpen the valve.\n")
    (root / "bad.md").write_bytes(b"\xff")
    client = browser(Role.VIEWER)
    said = client.get("/knowledge/").content.decode()
    assert "pumps/hot.md" in said
    assert "not UTF-8" in said
    found = client.get("/knowledge/?q=open+valve").content.decode()
    assert "/knowledge/pumps/hot.md#s1" in found
    page = client.get("/knowledge/pumps/hot.md").content.decode()
    assert "<h2>Cool it down</h2>" in page
    for address in (
        "/knowledge/bad.md",
        "/knowledge/gone.md",
        "/knowledge/../../etc/passwd",
        "/knowledge/%00.md",
    ):
        assert client.get(address).status_code == 404


def test_nobody_who_is_not_signed_in_sees_any(client: Client, db: None, root: Path) -> None:
    assert client.get("/knowledge/").status_code == 302


def test_a_hostile_runbook_is_text() -> None:
    html = to_html(
        HOSTILE, "pumps/hot.md", lambda name: f"/knowledge/{name}" if name == "valves.md" else None
    )
    assert "<script" not in html
    assert "<img" not in html
    assert "onerror=alert" not in html.replace("&lt;img src=x onerror=alert(2)&gt;", "")
    assert "a picture" in html
    assert "javascript:" not in html.replace("[bad](javascript:alert(3))", "")
    assert 'href="data:' not in html
    assert 'href="file:' not in html
    assert 'href="/tasks/"' not in html
    assert 'href="/knowledge/valves.md"' in html
    assert 'rel="noreferrer noopener"' in html
    assert "style=" not in html


def test_an_excerpt_is_words_without_marks() -> None:
    table, fence = "| a | b |\n|---|---|\n| 1 | 2 |", "```\nrun it\n```"
    text = f"## Cool it\n\n- **Open** the `valve` [here](x.md)\n- wait\n\n{table}\n\n{fence}\n"
    assert to_words(text) == "Open the valve here wait a b 1 2 run it"


def test_runbooks_and_the_manual_have_names_and_signs_of_their_own(browser: Browser, root: Path) -> None:
    page = browser(Role.VIEWER).get("/knowledge/", headers={"Accept-Language": "zh-hans"}).content.decode()
    assert "#i-runbook" in page
    with override("zh-hans"):
        assert gettext("Runbooks") not in (gettext("Manual"), f"操作{gettext('Manual')}")
