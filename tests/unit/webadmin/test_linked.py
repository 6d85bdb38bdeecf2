"""Addresses in what chats say: those of this box's own pages are followed, and no other."""

import pytest

from appliance.lib.config import get_config
from webadmin.templatetags import chats

OWN = "https://box.plant"


@pytest.fixture(autouse=True)
def _own_address(monkeypatch: pytest.MonkeyPatch) -> None:
    config = get_config().model_copy(update={"public_url": OWN})
    monkeypatch.setattr(chats, "get_config", lambda: config)


@pytest.mark.parametrize("path", ["/proposals/3/", "/runs/?state=failed&page=2", "/manual/a.html#b"])
def test_a_page_of_the_box_is_followed_whole(path: str) -> None:
    href = path.replace("&", "&amp;")
    assert f'<a href="{href}">' in chats.linked(f"look at {OWN}{path}.")


@pytest.mark.parametrize(
    "address",
    [
        f"{OWN}/\\evil.example/login",
        f"{OWN}//evil.example/login",
        f"{OWN}/\t/evil.example",
        f"{OWN}.evil.example/login",
        f"{OWN}@evil.example/",
        "https://evil.example/",
    ],
)
def test_no_other_place_is_followed(address: str) -> None:
    """Browsers read a backslash as a stroke: it would lead off the box, behind a link that looks like the box's own."""
    assert "evil.example" not in "".join(
        part.split('"')[0] for part in chats.linked(address).split('href="')[1:]
    )
