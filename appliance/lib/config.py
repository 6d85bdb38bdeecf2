"""The typed configuration of a box, from the environment, ``NAME_FILE`` and ``.env``.

Every variable is declared in ``variables.VARIABLES``.
"""

import os
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, ConfigDict

from appliance.lib.environment import ConfigInvalid, Settings, read_env_file
from appliance.lib.home import Home
from appliance.lib.listening import ANYWHERE, is_loopback, names_of
from appliance.lib.model_images import ModelImage, model_images
from appliance.lib.variables import VARIABLES

__all__ = [
    "ROOT",
    "Config",
    "ConfigInvalid",
    "Durability",
    "KernelRulesMode",
    "get_config",
    "read_config",
]

ROOT = Path(__file__).resolve().parent.parent.parent
ROLES = ("viewer", "operator", "engineer", "admin")
"""As appliance/accounts/domain.py names them, which stands above this room; a test compares."""


class Durability(StrEnum):
    """What an acknowledged message survives."""

    POWER_SAFE = "power-safe"
    CRASH_SAFE = "crash-safe"
    OWN_BROKER = "own-broker"
    """A broker that the box does not run: its own settings decide."""


class KernelRulesMode(StrEnum):
    """Whether the kernel limits and records what commands reach."""

    AUTO = "auto"
    REQUIRED = "required"
    OFF = "off"


class Config(BaseModel):
    """What the environment said, checked. ``get_config`` makes the one of this process."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    home: Home
    http_listen: tuple[str, int]
    mqtt_listen: tuple[str, int]
    http_tls: bool
    mqtt_tls: bool
    tls_certificate: Path
    tls_key: Path
    tls_own: bool
    """Whether the certificate is this box's own, made at start."""
    public_url: str
    allowed_hosts: list[str]
    trusted_origins: list[str]
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...]
    hsts_seconds: int
    root_key: Path
    """File of the keys that seal secrets, the newest first."""
    root_key_own: bool
    """Whether the box made that file and may write it."""
    admin_password_file: Path | None
    two_step_roles: frozenset[str]
    """Roles (appliance/accounts/domain.py) whose people must have a second step."""
    secret_key: str
    debug: bool
    power_safe: bool
    """Whether what the embedded broker acknowledged survives a power cut, and not only a crash."""
    keep_days: int
    keep_bytes: int
    conversation_days: int
    audit_keep_days: int
    """0: for ever."""
    audit_archive: bool
    """Whether records that are older go into signed files, rather than nowhere."""
    disk_free: int
    watched_filters: frozenset[str]
    history_filters: frozenset[str]
    """Topics whose readings are kept though no task charts them."""
    mqtt_events: bool
    network_targets: tuple[tuple[str, str, int], ...]
    """Name, host and port of what the operator wants watched."""
    telegram_api: str
    container_engine: str
    container_reads: tuple[Path, ...]
    container_writes: tuple[Path, ...]
    container_devices: tuple[str, ...]
    trusted_images: frozenset[str]
    container_pool: int
    container_idle: int
    """Seconds."""
    model_images: tuple[ModelImage, ...]
    model_network: str
    """Of the container engine, for models' containers; empty: guard makes one."""
    remote_models: tuple[str, ...]
    """Roots of APIs elsewhere that models may be asked at."""
    remote_models_ca: Path | None
    """PEM file of authorities that vouch for them, beside the usual ones."""
    cache: Path
    """Of engines of models: what can be made again."""
    chat_model: bool
    """Whether a model may be asked what a sentence in a chat means."""
    chat_model_seconds: int
    models_refused: bool
    """Whether no real model may be asked, only ``standin_models``."""
    standin_models: frozenset[str]
    kernel_rules: KernelRulesMode
    undeclared_network: str
    """``allow``, ``amber`` or ``deny``."""
    hold_undeclared: bool
    """Whether a task is held when its run does what it did not declare."""
    bench_cache: Path
    """Not expanded: a user without a home runs the box too."""
    database_url: str
    redis_url: str
    mqtt_url: str
    embedded: frozenset[str]
    """Which of ``postgres``, ``redis`` and ``nats`` the box runs itself."""

    @property
    def durability(self) -> Durability:
        if "nats" not in self.embedded:
            return Durability.OWN_BROKER
        return Durability.POWER_SAFE if self.power_safe else Durability.CRASH_SAFE

    @property
    def celery_url(self) -> str:
        """The broker URL as kombu writes it: a unix socket is ``redis+socket://``."""
        if self.redis_url.startswith("unix://"):
            parts = urlsplit(self.redis_url)
            return f"redis+socket://{parts.netloc}{parts.path}?virtual_host=0"
        return self.redis_url

    @property
    def channels_url(self) -> str:
        """The channel layer's: another database number of the same server."""
        if self.redis_url.startswith("unix://"):
            return f"{self.redis_url.partition('?')[0]}?db=1"
        return (
            f"{self.redis_url.rstrip('/')}/1"
            if not urlsplit(self.redis_url).path.strip("/")
            else self.redis_url
        )

    @property
    def http_endpoint(self) -> str:
        """Where the web process listens, as a Twisted endpoint."""
        host, port = self.http_listen
        listen = f"port={port}:interface={_escape(host)}"
        if not self.http_tls:
            return f"tcp:{listen}"
        key, certificate = _escape(str(self.tls_key)), _escape(str(self.tls_certificate))
        return f"ssl:{listen}:privateKey={key}:certKey={certificate}"


@cache
def get_config() -> Config:
    """The configuration of this process, read once. Raises ConfigInvalid, HomeUnusable."""
    return read_config(os.environ)


def read_config(environ: Mapping[str, str], env_file: Path | None = None) -> Config:
    """Pure but for the home's files: the configuration that ``environ`` and its ``.env`` file ask for."""
    settings = _settings(environ, env_file)
    home = Home.at(settings.path("MILLWRIGHT_HOME") or ROOT / "var")
    http = settings.address("MILLWRIGHT_LISTEN", ("127.0.0.1", home.http_port))
    mqtt = settings.address("MILLWRIGHT_MQTT_LISTEN", ("127.0.0.1", home.mqtt_port))
    tls = settings.choice("MILLWRIGHT_TLS", "auto", ("auto", "yes", "no"), "auto, yes or no")
    http_tls, mqtt_tls = (
        tls == "yes" or (tls == "auto" and not is_loopback(host)) for host, _ in (http, mqtt)
    )
    names = names_of(http[0])
    shown = f"[{names[0]}]" if ":" in names[0] else names[0]
    public = settings.text("MILLWRIGHT_PUBLIC_URL", f"http{'s' * http_tls}://{shown}:{http[1]}").rstrip("/")
    own = settings.path("MILLWRIGHT_TLS_CERTIFICATE")
    certificate, key = own or home.path / "tls/box.crt", settings.path("MILLWRIGHT_TLS_KEY")
    if (own is None) != (key is None):
        raise ConfigInvalid("MILLWRIGHT_TLS_CERTIFICATE and MILLWRIGHT_TLS_KEY go together", hint="set both")
    root_key = settings.path("MILLWRIGHT_ROOT_KEY_FILE") or _credential(environ)
    database = settings.url("DATABASE_URL", ("postgresql", "postgres"))
    redis = settings.url("REDIS_URL", ("redis", "rediss", "unix"))
    broker = settings.url("MQTT_URL", ("mqtt", "mqtts"))
    hosts = {"127.0.0.1", "localhost", "[::1]", *names, urlsplit(public).hostname or shown}
    return Config(
        home=home,
        http_listen=http,
        mqtt_listen=mqtt,
        http_tls=http_tls,
        mqtt_tls=mqtt_tls,
        tls_certificate=certificate,
        tls_key=key or home.path / "tls/box.key",
        tls_own=own is None,
        public_url=public,
        allowed_hosts=sorted(hosts | set(settings.items("MILLWRIGHT_ALLOWED_HOSTS"))),
        trusted_origins=[public] if public.startswith("https://") else [],
        trusted_proxies=settings.networks("MILLWRIGHT_TRUSTED_PROXIES"),
        hsts_seconds=_hsts(settings, public, self_signed=http_tls and own is None),
        root_key=root_key or home.path / "secrets" / "root_key",
        root_key_own=root_key is None,
        admin_password_file=settings.file_of("MILLWRIGHT_ADMIN_PASSWORD"),
        two_step_roles=settings.some("MILLWRIGHT_TWO_STEP_ROLES", ROLES),
        secret_key=settings.find("MILLWRIGHT_SECRET_KEY") or home.secret("secret_key"),
        debug=settings.flag("MILLWRIGHT_DEBUG", False),
        power_safe=settings.flag("MILLWRIGHT_POWER_SAFE", True),
        **_kept(settings),
        **_containers(settings),
        **_kernel(settings),
        watched_filters=frozenset(settings.items("MILLWRIGHT_WATCH") or ["#"]),
        history_filters=settings.topic_filters("MILLWRIGHT_HISTORY"),
        mqtt_events=settings.flag("MILLWRIGHT_MQTT_EVENTS", True),
        network_targets=settings.named_addresses("MILLWRIGHT_NETWORK_TARGETS"),
        telegram_api=settings.text("MILLWRIGHT_TELEGRAM_API", "https://api.telegram.org").rstrip("/"),
        bench_cache=settings.path("MILLWRIGHT_BENCH_CACHE") or Path("~/.cache/millwright-bench"),
        cache=settings.path("MILLWRIGHT_CACHE") or home.cache,
        database_url=database or _embedded_database(home),
        redis_url=redis or _embedded_redis(home),
        mqtt_url=broker
        or _embedded_broker(home, mqtt, certificate if mqtt_tls else None, verify=own is None),
        embedded=frozenset(
            n for n, url in (("postgres", database), ("redis", redis), ("nats", broker)) if not url
        ),
    )


def _kept(settings: Settings) -> dict[str, Any]:
    """How long what has been is kept, and how much of the disk is left."""
    return {
        "keep_days": settings.number("MILLWRIGHT_KEEP_DAYS", 30, least=1),
        "keep_bytes": settings.number("MILLWRIGHT_KEEP_BYTES", 10_000_000_000, least=1),
        "conversation_days": settings.number("MILLWRIGHT_CONVERSATION_DAYS", 90, least=1),
        "audit_keep_days": settings.number("MILLWRIGHT_AUDIT_KEEP_DAYS", 365, least=0),
        "audit_archive": settings.choice(
            "MILLWRIGHT_AUDIT_OLD", "archive", ("archive", "drop"), "archive or drop"
        )
        == "archive",
        "disk_free": settings.number("MILLWRIGHT_DISK_FREE", 500_000_000, least=0),
    }


def _containers(settings: Settings) -> dict[str, Any]:
    return {
        "container_engine": _engine_url(settings),
        "container_reads": settings.folders("MILLWRIGHT_CONTAINER_READS"),
        "container_writes": settings.folders("MILLWRIGHT_CONTAINER_WRITES"),
        "container_devices": tuple(str(p) for p in settings.folders("MILLWRIGHT_CONTAINER_DEVICES")),
        "trusted_images": frozenset(settings.items("MILLWRIGHT_TRUSTED_IMAGES")),
        "container_pool": settings.number("MILLWRIGHT_CONTAINER_POOL", 1),
        "container_idle": settings.number("MILLWRIGHT_CONTAINER_IDLE", 600, least=1),
        "model_images": model_images(settings.items("MILLWRIGHT_MODEL_IMAGES")),
        "model_network": settings.text("MILLWRIGHT_MODEL_NETWORK", ""),
        "remote_models": settings.items("MILLWRIGHT_REMOTE_MODELS"),
        "remote_models_ca": settings.path("MILLWRIGHT_REMOTE_MODELS_CA"),
        "chat_model": settings.flag("MILLWRIGHT_CHAT_MODEL", True),
        "chat_model_seconds": min(settings.number("MILLWRIGHT_CHAT_MODEL_SECONDS", 5, least=1), 20),
        "models_refused": settings.choice("MILLWRIGHT_MODELS", "real", ("real", "refused"), "real or refused")
        == "refused",
        "standin_models": frozenset(settings.items("MILLWRIGHT_STANDIN_MODELS")),
    }


def _kernel(settings: Settings) -> dict[str, Any]:
    """What the kernel does about what commands reach."""
    return {
        "kernel_rules": KernelRulesMode(
            settings.choice(
                "MILLWRIGHT_KERNEL_RULES", "auto", tuple(KernelRulesMode), "auto, required or off"
            )
        ),
        "undeclared_network": settings.choice(
            "MILLWRIGHT_UNDECLARED_NETWORK", "allow", ("allow", "amber", "deny"), "allow, amber or deny"
        ),
        "hold_undeclared": settings.flag("MILLWRIGHT_HOLD_UNDECLARED", False),
    }


def plain_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The settings as plain variables, for processes that may not read the files behind them."""
    settings = _settings(environ)
    # The admin's password is for the command that makes the admin, never for a service.
    names = (v.name for v in VARIABLES if v.name != "MILLWRIGHT_ADMIN_PASSWORD_FILE")
    found = {name: value for name in names if (value := settings.find(name))}
    if credential := _credential(environ):
        found.setdefault("MILLWRIGHT_ROOT_KEY_FILE", str(credential))
    return {**found, "MILLWRIGHT_ENV_FILE": os.devnull}


def _settings(environ: Mapping[str, str], env_file: Path | None = None) -> Settings:
    named = Settings(environ).path("MILLWRIGHT_ENV_FILE")
    return Settings(environ, read_env_file(named or env_file or ROOT / ".env"))


def _credential(environ: Mapping[str, str]) -> Path | None:
    """The root key that systemd handed over (``LoadCredential=millwright_root_key:…``), where it did."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    found = Path(folder) / "millwright_root_key" if folder else None
    return found if found is not None and found.exists() else None


def _hsts(settings: Settings, public: str, *, self_signed: bool) -> int:
    """A browser that insists lets nobody pass its warning: not with a certificate that it cannot know."""
    if settings.text("MILLWRIGHT_HSTS_SECONDS", "auto") != "auto":
        return settings.number("MILLWRIGHT_HSTS_SECONDS", 0, least=0)
    return 365 * 24 * 3600 if public.startswith("https://") and not self_signed else 0


def _engine_url(settings: Settings) -> str:
    found = settings.text("MILLWRIGHT_CONTAINER_ENGINE", "unix:///var/run/docker.sock")
    if not found.startswith("unix:///"):
        raise ConfigInvalid(
            f"MILLWRIGHT_CONTAINER_ENGINE is {found!r}; expected unix:///path/of/the/socket",
            hint="an engine on another machine cannot be used",
        )
    return found


def _embedded_database(home: Home) -> str:
    folder = quote(str(home.runtime), safe="")
    return f"postgresql://millwright:{home.secret('database')}@/millwright?host={folder}"


def _embedded_redis(home: Home) -> str:
    return f"unix://:{home.secret('redis')}@{quote(str(home.runtime / 'redis.sock'))}"


def _embedded_broker(home: Home, listen: tuple[str, int], certificate: Path | None, *, verify: bool) -> str:
    host = "127.0.0.1" if listen[0] in (*ANYWHERE, "localhost") else listen[0]
    place = f"box:{home.secret('mqtt')}@{f'[{host}]' if ':' in host else host}:{listen[1]}"
    if certificate is None:
        return f"mqtt://{place}"
    # A certificate from elsewhere does not name the address by which the box reaches itself.
    return f"mqtts://{place}?" + (f"ca={quote(str(certificate), safe='')}" if verify else "verify=no")


def _escape(value: str) -> str:
    """Twisted splits its endpoints at colons."""
    return value.replace("\\", "\\\\").replace(":", "\\:").replace("=", "\\=")
