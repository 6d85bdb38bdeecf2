import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from appliance.accounts.principal import CONSOLE
from appliance.audit.models import AuditRecord
from appliance.lib.config import get_config
from appliance.safety import secrets as secrets_module
from appliance.safety.errors import SecretMissing, SecretRefused, SecretUnreadable
from appliance.safety.models import Secret
from appliance.safety.secrets import (
    list_secrets,
    remove_secret,
    resolve,
    resolve_async,
    rotate,
    seal,
    set_secret,
    unseal,
)
from tests.database import connect_async

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 3, 1, tzinfo=UTC)
VALUE = "12345:AAbb-ccDD_ß"


def test_a_secret_is_resolved_by_its_name(tmp_path: Path) -> None:
    set_secret("bot", VALUE, CONSOLE, NOW, tmp_path)
    assert resolve("secret:bot", tmp_path) == VALUE
    set_secret("bot", "another", CONSOLE, NOW, tmp_path)
    assert resolve("secret:bot", tmp_path) == "another"
    assert resolve("plain text", tmp_path) == "plain text"
    remove_secret("bot", CONSOLE)
    with pytest.raises(SecretMissing):
        resolve("secret:bot", tmp_path)
    with pytest.raises(SecretMissing):
        remove_secret("bot", CONSOLE)


def test_neither_database_nor_audit_hold_the_value(tmp_path: Path) -> None:
    set_secret("bot", VALUE, CONSOLE, NOW, tmp_path)
    assert VALUE.encode() not in bytes(Secret.objects.get().token)
    record = AuditRecord.objects.order_by("-seq")[0]
    assert (record.kind, record.subject) == ("secret.set", "secret:bot")
    assert VALUE not in record.body
    assert "token" not in list_secrets()[0].__dict__


def test_the_root_key_is_private_and_not_in_the_database(tmp_path: Path) -> None:
    set_secret("bot", VALUE, CONSOLE, NOW, tmp_path)
    key = tmp_path / "secrets" / "root_key"
    assert key.stat().st_mode & 0o077 == 0
    key.write_text("A" * 43 + "=\n")
    with pytest.raises(SecretUnreadable):
        resolve("secret:bot", tmp_path)


def test_a_secret_cannot_be_passed_off_as_another(tmp_path: Path) -> None:
    set_secret("bot", VALUE, CONSOLE, NOW, tmp_path)
    set_secret("other", "harmless", CONSOLE, NOW, tmp_path)
    Secret.objects.filter(name="other").update(token=Secret.objects.get(name="bot").token)
    with pytest.raises(SecretUnreadable, match="another name"):
        resolve("secret:other", tmp_path)


def test_a_new_root_key_opens_every_secret_and_old_backups(tmp_path: Path) -> None:
    set_secret("bot", VALUE, CONSOLE, NOW, tmp_path)
    before = bytes(Secret.objects.get().token)
    assert rotate(CONSOLE, tmp_path) == 1
    assert bytes(Secret.objects.get().token) != before
    assert resolve("secret:bot", tmp_path) == VALUE
    Secret.objects.update(token=before)
    assert resolve("secret:bot", tmp_path) == VALUE


def test_what_another_area_sealed_opens_for_its_purpose_only_and_after_a_new_root_key(tmp_path: Path) -> None:
    token = seal("log-in", VALUE, tmp_path)
    assert VALUE not in token
    rotate(CONSOLE, tmp_path)
    assert unseal("log-in", token, tmp_path) == VALUE
    with pytest.raises(SecretUnreadable, match=r"sealed for backups .*under another name"):
        unseal("backups", token, tmp_path)
    (tmp_path / "secrets" / "root_key").unlink()
    with pytest.raises(SecretUnreadable, match="does not open"):
        unseal("log-in", token, tmp_path)


@pytest.mark.parametrize(
    ("name", "value"), [("", VALUE), ("a b", VALUE), ("../x", VALUE), ("x" * 101, VALUE), ("x", "abc")]
)
def test_a_bad_name_or_a_value_too_short_to_mask_is_refused(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SecretRefused):
        set_secret(name, value, CONSOLE, NOW, tmp_path)


async def test_the_asynchronous_form_resolves_the_same(tmp_path: Path) -> None:
    async with await connect_async() as db:
        assert await resolve_async(db, "plain", tmp_path) == "plain"
        with pytest.raises(SecretMissing):
            await resolve_async(db, "secret:none", tmp_path)


def test_the_command_keeps_lists_and_forgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = get_config()
    moved = config.model_copy(
        update={"home": type(config.home)(tmp_path, config.home.id), "root_key": tmp_path / "key"}
    )
    monkeypatch.setattr("appliance.safety.secrets.get_config", lambda: moved)
    monkeypatch.setattr("sys.stdin", io.StringIO(VALUE + "\n"))
    call_command("secrets", "set", "bot", "--file", "-")
    assert resolve("secret:bot") == VALUE
    call_command("secrets", "rotate")
    call_command("secrets", "list", "--json")
    out = capsys.readouterr().out
    assert json.loads(out.splitlines()[-1])[0]["name"] == "bot"
    assert VALUE not in out
    call_command("secrets", "remove", "bot")
    with pytest.raises(CommandError, match="no secret"):
        call_command("secrets", "remove", "bot")


def test_of_two_who_make_the_first_key_at_once_both_have_the_same(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: secrets_module._first_key(tmp_path / "secrets/root_key"), range(8)))
    assert len({tuple(keys) for keys in found}) == 1
    assert [file.name for file in (tmp_path / "secrets").iterdir()] == ["root_key"]
