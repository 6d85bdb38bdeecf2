"""The box serves its own documentation: every link works, and nothing else is ever read."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pytest
from django.test import Client

from appliance.accounts.domain import Role
from appliance.lib.config import ROOT
from webadmin import manual

Browsers = Callable[[Role], Client]
_LINK = re.compile(r'(?:href|src)="([^"]+)"')
_ARTICLE = re.compile(r"<article[^>]*>(.*?)</article>", re.DOTALL)


def article(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, address
    found = _ARTICLE.search(answer.content.decode())
    assert found, address
    return found[1]


def test_every_link_of_every_page_leads_somewhere(browser: Browsers) -> None:
    client = browser(Role.VIEWER)
    waiting, seen = ["/docs/"], set()
    while waiting:
        address = waiting.pop()
        if address in seen:
            continue
        seen.add(address)
        for link in _LINK.findall(article(client, address)):
            target = urlsplit(urljoin(address, link))
            if target.netloc:
                continue
            assert target.path.startswith("/docs/"), (address, link)
            if target.path.endswith((".png", ".svg", ".jpg")):
                picture = client.get(target.path)
                assert picture.status_code == 200
                assert b"".join(picture).startswith(b"\x89PNG")
                continue
            if target.path.endswith((".yaml", ".json", ".py")):
                example = client.get(target.path)
                assert example["Content-Type"] in ("text/plain; charset=utf-8", "application/json")
                assert b"".join(example).startswith((b"#", b"{", b'"""'))
                continue
            if target.fragment:
                assert f'id="{target.fragment}"' in article(client, target.path), (address, link)
            waiting.append(target.path)
    written = {page.address for page in manual.pages().values()}
    assert seen == written
    assert len(written) > 15


@pytest.mark.parametrize(
    "address",
    [
        "../manage.py",
        "..%2Fmanage.py",
        "%2e%2e/webadmin/settings.py",
        "how-to/../../manage.py",
        "/etc/passwd",
        "%2Fetc%2Fpasswd",
        "..\\manage.py",
        "index.md%00.png",
        "images/../../pyproject.toml",
        "images",
        "",
    ],
)
def test_nothing_outside_the_manual_is_read(address: str, browser: Browsers) -> None:
    client = browser(Role.ADMIN)
    answer = client.get(f"/docs/{address}")
    body = b"".join(answer) if answer.streaming else answer.content
    assert answer.status_code in (301, 302, 404) or b"Documentation of Millwright" in body
    assert b"execute_from_command_line" not in body
    assert b"root:x:" not in body
    assert manual.find(address) is None or address == ""


def test_a_link_in_the_folder_that_leads_out_of_it_is_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tree" / "docs").mkdir(parents=True)
    (tmp_path / "tree" / "README.md").write_text("# Read me")
    (tmp_path / "outside.md").write_text("# Secret")
    (tmp_path / "tree" / "docs" / "out.md").symlink_to(tmp_path / "outside.md")
    monkeypatch.setattr(manual, "ROOT", tmp_path / "tree")
    assert list(manual.pages.__wrapped__()) == ["README.md"]


def test_html_in_a_page_is_text(tmp_path: Path) -> None:
    file = tmp_path / "x.md"
    file.write_text(
        "# A <b>b</b>\n\n<script>alert(1)</script>\n\n[x](javascript:alert(1)) ![i](../../manage.py)\n\n"
        "| a | b |\n|---|--:|\n| 1 | 2 |\n"
    )
    html = manual._read("docs/x.md", file).html
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "javascript:" not in html.replace("](javascript:alert(1))", "")
    assert "manage.py" not in html
    assert "style=" not in html
    assert '<td class="number">2</td>' in html


def test_the_search_finds_words_in_titles_first(browser: Browsers) -> None:
    hits = manual.search(["WEBHOOK"])
    assert "webhook" in hits[0].page.title.casefold()
    assert len(hits) > 3
    assert all("webhook" in (hit.page.text + hit.page.title).casefold() for hit in hits)
    page = browser(Role.VIEWER).get("/docs/search/?q=webhook+hmac").content.decode()
    assert "<mark>" in page
    assert "Nothing found" in browser(Role.VIEWER).get("/docs/search/?q=xyzzy%00").content.decode()
    assert '"><script>' not in browser(Role.VIEWER).get('/docs/search/?q="><script>').content.decode()


def test_the_pages_are_under_the_strict_policy_and_for_people_of_the_box(browser: Browsers) -> None:
    answer = browser(Role.VIEWER).get("/docs/explanation/promises.md")
    assert "style-src 'self'" in answer["Content-Security-Policy"]
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert Client().get("/docs/").status_code == 302
    assert Client().get("/docs/images/overview.png").status_code == 302
    assert (ROOT / "docs/images/overview.png").is_file()


def test_the_contents_list_every_page(browser: Browsers) -> None:
    page = browser(Role.VIEWER).get("/docs/").content.decode()
    for one in manual.pages().values():
        assert f'href="{one.address}"' in page
    assert "/docs/" in browser(Role.VIEWER).get("/").content.decode()
