"""What in a configuration is a reference, and what is the secret itself."""

from pathlib import Path

import pytest

from appliance.bridges.secrets import ProxyUrl, Secret, mark, variable
from appliance.outbox.errors import NotReady


@pytest.mark.parametrize(
    ("text", "name", "literal"),
    [
        ("BOT_TOKEN", "BOT_TOKEN", False),
        ("secret:night", None, False),
        ("110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw", None, True),
        ("bot_token", None, True),
    ],
)
def test_capitals_are_a_reference(text: str, name: str | None, literal: bool) -> None:
    secret = Secret(text)
    assert (secret.variable, secret.is_literal) == (name, literal)
    assert (text in repr(secret)) is not literal


def test_only_a_proxy_with_a_password_is_a_secret() -> None:
    assert not ProxyUrl("socks5://proxy-server:1080").is_literal
    assert ProxyUrl("socks5://me:hush@proxy-server:1080").is_literal


def test_a_variable_comes_from_the_environment_its_file_or_the_env_file(tmp_path: Path) -> None:
    env, file = tmp_path / "env", tmp_path / "token"
    env.write_text("BOT_TOKEN=from-env-file\n")
    file.write_text("from-file\n")
    base = {"MILLWRIGHT_ENV_FILE": str(env)}
    assert variable("BOT_TOKEN", base) == "from-env-file"
    assert variable("BOT_TOKEN", {**base, "BOT_TOKEN": "direct"}) == "direct"
    assert variable("BOT_TOKEN", {**base, "BOT_TOKEN_FILE": str(file)}) == "from-file"
    assert variable("OTHER", base) is None
    with pytest.raises(NotReady):
        variable("BOT_TOKEN", {**base, "BOT_TOKEN_FILE": str(tmp_path / "none")})


def test_a_mark_is_the_boxs_own_and_one_per_purpose() -> None:
    assert mark("a", "key") == mark("a", "key")
    assert len({mark("a", "key"), mark("b", "key"), mark("a", "other")}) == 3
