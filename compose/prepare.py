#!/usr/bin/env python3
"""Make what the compose file needs beside it: passwords, and .env. What is there already is kept.

    python3 prepare.py                    # once
    python3 prepare.py --device press1    # a broker account for a device; says its password

The files can be read by all, as each service has a user of its own in its container; their folder is yours alone.
"""

import argparse
import base64
import hashlib
import os
import re
import secrets
from pathlib import Path

HERE = Path(__file__).resolve().parent
_READABLE = 0o444
_ROUNDS = 101
"""Mosquitto's own number: it hashes at every log-in, and these passwords are too long to guess at any speed."""
_ENV = """\
# Read by Compose; docs/how-to/compose.md has all variables.
COMPOSE_PROJECT_NAME=millwright
"""


def prepare(folder: Path) -> list[str]:
    """Make ``secrets/`` and ``.env`` in ``folder``; the names of what was made."""
    place = folder / "secrets"
    place.mkdir(mode=0o700, exist_ok=True)
    made = []

    def keep(name: str, text: str) -> None:
        if _write(place / name, text, _READABLE):
            made.append(f"secrets/{name}")

    def password(name: str) -> str:
        keep(name, secrets.token_urlsafe(32))
        return (place / name).read_text()

    keep("postgres_password", secrets.token_urlsafe(32))
    keep("database_url", f"postgresql://millwright:{password('database_password')}@database/millwright")
    word = password("redis_password")
    keep("redis_url", f"redis://:{word}@redis:6379")
    keep(
        "redis_conf",
        f'bind * -::*\nprotected-mode yes\nrequirepass {word}\nsave ""\nappendonly no\ndir /data\n',
    )
    keep("mqtt_url", f"mqtt://box:{secrets.token_urlsafe(32)}@mqtt:1883")
    keep("mosquitto_sub", f"-h 127.0.0.1\n-u health\n-P {secrets.token_urlsafe(32)}\n")
    box = (place / "mqtt_url").read_text().split(":")[2].partition("@")[0]
    health = (place / "mosquitto_sub").read_text().split()[-1]
    keep("mqtt_passwords", f"box:{mosquitto_hash(box)}\nhealth:{mosquitto_hash(health)}\n")
    if _write(folder / ".env", _ENV, 0o600):
        made.append(".env")
    return made


def add_device(folder: Path, name: str) -> str:
    """A new account of the broker, in the same file: who has it mounted sees it. Gives its password."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name):
        raise SystemExit("A name is 1 to 64 letters, digits, points, hyphens and underscores.")
    file = folder / "secrets/mqtt_passwords"
    known = file.read_text()
    if any(line.startswith(f"{name}:") for line in known.splitlines()):
        raise SystemExit(
            f"There is an account {name} already. To make it anew, remove its line in {file} first."
        )
    password = secrets.token_urlsafe(32)
    file.chmod(0o644)
    with file.open("a") as opened:
        opened.write(f"{name}:{mosquitto_hash(password)}\n")
    file.chmod(_READABLE)
    return password


def mosquitto_hash(password: str) -> str:
    """As ``mosquitto_passwd`` writes it: $7$, rounds, salt, and PBKDF2 with SHA-512 (64 bytes)."""
    salt = os.urandom(12)
    found = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS, 64)
    return f"$7${_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(found).decode()}"


def _write(path: Path, text: str, mode: int) -> bool:
    """Write a new file, whole or not at all; False where there is one."""
    if path.exists():
        return False
    own = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "w") as file:
        os.fchmod(handle, mode)
        file.write(text)
    own.rename(path)
    return True


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make passwords and .env for compose.yaml.")
    parser.add_argument("--device", metavar="NAME", help="add a broker account for a device")
    asked = parser.parse_args()
    made = prepare(HERE)
    if asked.device:
        print(f"The password of {asked.device} is: {add_device(HERE, asked.device)}")
        print("Have the broker read it: docker compose kill --signal HUP mqtt")
    else:
        print("\n".join(f"made {name}" for name in made) or "Everything is there.")
