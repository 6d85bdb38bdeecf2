"""What the environment says becomes a typed configuration, or a sentence that names the variable."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from appliance.lib.config import Config, ConfigInvalid, Durability, plain_environment, read_config
from appliance.lib.variables import VARIABLES


@pytest.fixture
def nothing(tmp_path: Path) -> dict[str, str]:
    return {"MILLWRIGHT_HOME": str(tmp_path / "home"), "MILLWRIGHT_ENV_FILE": str(tmp_path / "no.env")}


def test_without_any_setting_everything_is_embedded_and_on_loopback(nothing: dict[str, str]) -> None:
    config = read_config(nothing)
    assert config.embedded == {"postgres", "redis", "nats"}
    assert config.http_listen == ("127.0.0.1", config.home.http_port)
    assert config.mqtt_listen == ("127.0.0.1", config.home.mqtt_port)
    assert not config.http_tls
    assert not config.mqtt_tls
    assert config.public_url == f"http://127.0.0.1:{config.home.http_port}"
    assert config.debug is False


@pytest.mark.parametrize(
    ("settings", "durability"),
    [
        ({}, Durability.POWER_SAFE),
        ({"MILLWRIGHT_POWER_SAFE": "no"}, Durability.CRASH_SAFE),
        ({"MQTT_URL": "mqtt://broker.example"}, Durability.OWN_BROKER),
    ],
)
def test_a_box_is_power_safe_unless_its_operator_chooses(
    nothing: dict[str, str], settings: dict[str, str], durability: Durability
) -> None:
    assert read_config({**nothing, **settings}).durability is durability


def test_two_reads_give_the_same(nothing: dict[str, str]) -> None:
    assert read_config(nothing) == read_config(nothing)


def test_a_variable_can_come_from_a_file(nothing: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from a file\n")
    config = read_config({**nothing, "MILLWRIGHT_SECRET_KEY_FILE": str(tmp_path / "key")})
    assert config.secret_key == "from a file"


def test_a_file_that_is_not_there_is_named(nothing: dict[str, str]) -> None:
    with pytest.raises(ConfigInvalid, match="DATABASE_URL_FILE: /nowhere cannot be read"):
        read_config({**nothing, "DATABASE_URL_FILE": "/nowhere"})


def test_a_variable_and_its_file_together_are_refused(nothing: dict[str, str]) -> None:
    with pytest.raises(ConfigInvalid, match="REDIS_URL and REDIS_URL_FILE are both set"):
        read_config({**nothing, "REDIS_URL": "redis://x", "REDIS_URL_FILE": "/etc/hostname"})


def test_the_environment_is_stronger_than_the_env_file(nothing: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "key").write_text("from the file of the env file")
    (tmp_path / "box.env").write_text(
        f"# a comment\nMILLWRIGHT_KEEP_DAYS=7\nexport MILLWRIGHT_PUBLIC_URL='https://box.example/'\n"
        f"MILLWRIGHT_SECRET_KEY_FILE={tmp_path / 'key'}\n"
    )
    given = {**nothing, "MILLWRIGHT_ENV_FILE": str(tmp_path / "box.env"), "MILLWRIGHT_KEEP_DAYS": "9"}
    config = read_config(given)
    assert (config.keep_days, config.public_url) == (9, "https://box.example")
    assert config.secret_key == "from the file of the env file"
    assert read_config({**given, "MILLWRIGHT_SECRET_KEY": "direct"}).secret_key == "direct"


def test_a_bad_line_of_the_env_file_is_located_and_not_shown(nothing: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "box.env").write_text("MILLWRIGHT_DEBUG=no\nhunter2 is my password\n")
    with pytest.raises(ConfigInvalid, match=r"box\.env, line 2: expected NAME=value") as error:
        read_config({**nothing, "MILLWRIGHT_ENV_FILE": str(tmp_path / "box.env")})
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MILLWRIGHT_LISTEN", "8000"),
        ("MILLWRIGHT_LISTEN", "0.0.0.0:99999"),
        ("MILLWRIGHT_LISTEN", "a b:80"),
        ("MILLWRIGHT_LISTEN", "::1:80"),
        ("MILLWRIGHT_MQTT_LISTEN", "host:port"),
        ("MILLWRIGHT_DEBUG", "perhaps"),
        ("MILLWRIGHT_POWER_SAFE", "2"),
        ("MILLWRIGHT_TLS", "maybe"),
        ("MILLWRIGHT_KEEP_DAYS", "-1"),
        ("MILLWRIGHT_KEEP_DAYS", "0"),
        ("MILLWRIGHT_KEEP_BYTES", "ten"),
        ("MILLWRIGHT_DISK_FREE", "1 GB"),
        ("DATABASE_URL", "mysql://user:hunter2@host/name"),
        ("REDIS_URL", "hunter2"),
        ("MQTT_URL", "tcp://user:hunter2@host"),
        ("MILLWRIGHT_TLS_KEY", "/only/the/key"),
    ],
)
def test_a_wrong_value_is_refused_by_its_name_and_without_secrets(
    nothing: dict[str, str], name: str, value: str
) -> None:
    with pytest.raises(ConfigInvalid, match=name) as error:
        read_config({**nothing, name: value})
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.0.0.0:80", ("0.0.0.0", 80)),
        ("[::]:8443", ("::", 8443)),
        (":9000", ("127.0.0.1", 9000)),
        ("box.lan:443", ("box.lan", 443)),
    ],
)
def test_addresses_are_read(nothing: dict[str, str], text: str, expected: tuple[str, int]) -> None:
    assert read_config({**nothing, "MILLWRIGHT_LISTEN": text}).http_listen == expected


def test_a_url_replaces_its_engine(nothing: dict[str, str]) -> None:
    config = read_config(
        {**nothing, "DATABASE_URL": "postgresql://u:p@db/name", "MQTT_URL": "mqtt://u:p@broker"}
    )
    assert config.embedded == {"redis"}
    assert (config.database_url, config.mqtt_url) == ("postgresql://u:p@db/name", "mqtt://u:p@broker")


def test_what_listens_beyond_loopback_has_tls_unless_told_otherwise(nothing: dict[str, str]) -> None:
    opened = {**nothing, "MILLWRIGHT_LISTEN": "0.0.0.0:8443", "MILLWRIGHT_MQTT_LISTEN": "0.0.0.0:8883"}
    config = read_config(opened)
    assert config.http_tls
    assert config.mqtt_tls
    assert config.public_url.startswith("https://")
    assert config.trusted_origins == [config.public_url]
    assert config.http_endpoint.startswith("ssl:port=8443:interface=0.0.0.0:privateKey=")
    assert config.mqtt_url.startswith("mqtts://box:")
    plain = read_config({**opened, "MILLWRIGHT_TLS": "no"})
    assert not plain.http_tls
    assert plain.http_endpoint == "tcp:port=8443:interface=0.0.0.0"
    assert plain.mqtt_url.startswith("mqtt://box:")


def test_the_endpoint_of_an_ipv6_address_is_escaped(nothing: dict[str, str]) -> None:
    config = read_config({**nothing, "MILLWRIGHT_LISTEN": "[::1]:8000"})
    assert config.http_endpoint == r"tcp:port=8000:interface=\:\:1"


def test_the_box_answers_under_the_names_that_it_tells(nothing: dict[str, str]) -> None:
    named = {"MILLWRIGHT_PUBLIC_URL": "https://box.example", "MILLWRIGHT_ALLOWED_HOSTS": "a.lan, b.lan"}
    hosts = read_config({**nothing, **named}).allowed_hosts
    assert {"box.example", "a.lan", "b.lan", "127.0.0.1", "localhost"} <= set(hosts)
    assert "*" not in hosts


@pytest.mark.parametrize("folder", ["plain", "with space", "喷泉"])
def test_embedded_addresses_lead_to_the_sockets(tmp_path: Path, folder: str) -> None:
    config = read_config({"MILLWRIGHT_HOME": str(tmp_path / folder), "MILLWRIGHT_ENV_FILE": "/dev/null"})
    socket = str(config.home.runtime / "redis.sock")
    assert unquote(urlsplit(config.redis_url).path) == socket
    assert unquote(urlsplit(config.celery_url).path) == socket
    assert unquote(urlsplit(config.channels_url).path) == socket
    assert unquote(urlsplit(config.database_url).query) == f"host={config.home.runtime}"


def test_services_get_plain_variables_without_the_admins_password(tmp_path: Path) -> None:
    (tmp_path / "db").write_text("postgresql://u:p@db/name")
    (tmp_path / "box.env").write_text("MILLWRIGHT_KEEP_DAYS=7\nOTHER=1\n")
    (tmp_path / "admin").write_text("secret of the admin")
    found = plain_environment(
        {
            "MILLWRIGHT_ENV_FILE": str(tmp_path / "box.env"),
            "DATABASE_URL_FILE": str(tmp_path / "db"),
            "MILLWRIGHT_ADMIN_PASSWORD_FILE": str(tmp_path / "admin"),
            "AWS_SECRET_ACCESS_KEY": "not ours",
        }
    )
    assert found == {
        "DATABASE_URL": "postgresql://u:p@db/name",
        "MILLWRIGHT_KEEP_DAYS": "7",
        "MILLWRIGHT_ENV_FILE": "/dev/null",
    }


def test_every_variable_is_described_once() -> None:
    names = [variable.name for variable in VARIABLES]
    assert len(names) == len(set(names))
    assert all(variable.meaning for variable in VARIABLES)


def test_a_configuration_does_not_change(nothing: dict[str, str]) -> None:
    config: Config = read_config(nothing)
    with pytest.raises(ValueError, match="frozen"):
        config.debug = True  # type: ignore[misc]


def test_roles_that_need_two_steps_are_named_by_comma(nothing: dict[str, str]) -> None:
    assert read_config(nothing).two_step_roles == frozenset()
    asked = {**nothing, "MILLWRIGHT_TWO_STEP_ROLES": "Admin, engineer"}
    assert read_config(asked).two_step_roles == {"admin", "engineer"}
    with pytest.raises(
        ConfigInvalid, match="MILLWRIGHT_TWO_STEP_ROLES names emperor; expected some of viewer"
    ):
        read_config({**nothing, "MILLWRIGHT_TWO_STEP_ROLES": "admin,emperor"})
