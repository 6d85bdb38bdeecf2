"""What the process manager is told: its configuration, and the programs behind it."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from appliance.lib.atomic import write_atomically
from appliance.lib.config import ROOT, Config
from appliance.processes import control
from appliance.processes.engines import Engine, nats, postgres, redis
from appliance.processes.layout import pid_folder, settings_folder
from appliance.processes.leftovers import MARK
from appliance.processes.privilege import Privilege
from appliance.processes.programs import Program

# Paths do not stand in this text: supervisor would read a space and a semicolon as a comment, and a per cent sign
# as its own expansion. Logs are relative to where it is started; the rest comes from its environment.
_MANAGER = """\
[supervisord]
nodaemon=true
silent=true
nocleanup=true
{user}logfile=supervisor.log
logfile_maxbytes=2MB
logfile_backups=2
pidfile=%(ENV_MW_RUNTIME)s/supervisord.pid
umask=077
identifier=millwright

[unix_http_server]
file=%(ENV_MW_RUNTIME)s/supervisor.sock
chmod=0700
username={control_user}
password=%(ENV_MW_PASSWORD)s

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""

# A part that ends within two seconds counts as not started: it is tried again after 1, 2, … 8 seconds. Then
# it is FATAL for supervisor, but not for us: attend.py begins again.
_PROGRAM = """
[program:{name}]
command="%(ENV_MW_PYTHON)s" -I -S "%(ENV_MW_LAUNCH)s" {name}
directory=/
priority={priority}
autostart=false
autorestart=true
startsecs=2
startretries=8
stopsignal={stop_signal}
stopwaitsecs={stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile={name}.log
stdout_logfile_maxbytes=5MB
stdout_logfile_backups=3
"""


def engines(
    config: Config, privilege: Privilege, certificate: tuple[Path, Path], *, durable: bool = True
) -> list[Engine]:
    """The embedded engines that no URL replaces, prepared to be started."""
    found = []
    if "postgres" in config.embedded:
        found.append(postgres.prepare(config.home, privilege, durable=durable))
    if "redis" in config.embedded:
        found.append(redis.prepare(config.home, privilege))
    if "nats" in config.embedded:
        found.append(nats.prepare(config, privilege, certificate, durable=durable))
    return found


def write_supervisor(config: Config, programs: Sequence[Program]) -> Path:
    """Write the process manager's configuration; started in this order, they are stopped in the opposite
    one."""
    # As root supervisor wants to be told so; a user without a name it would not find.
    user = "user=root\n" if os.geteuid() == 0 else ""
    text = _MANAGER.format(user=user, control_user=control.USER)
    for number, program in enumerate(programs):
        text += _PROGRAM.format(
            name=program.name,
            priority=10 * (number + 1),
            stop_signal=program.stop_signal,
            stop_seconds=program.stop_seconds,
        )
    path = settings_folder(config.home) / "supervisord.conf"
    write_atomically(path, text.encode())
    return path


def manager_environment(config: Config, programs: Sequence[Program], password: str) -> dict[str, str]:
    """The process manager's own environment: launch.py finds its programs there, and hands on only theirs."""
    home = config.home
    entries = {
        program.name: {
            "command": program.command,
            "environment": dict(program.environment),
            "directory": str(ROOT),
            "pids": str(pid_folder(home)),
            "uid": program.uid,
            "keep": program.keep,
            "namespace": program.in_namespace,
            "death_signal": program.death_signal,
            "forked": program.forked,
        }
        for program in programs
    }
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        MARK: home.id,
        "MW_PYTHON": sys.executable,
        "MW_LAUNCH": str(ROOT / "appliance/processes/launch.py"),
        "MW_RUNTIME": str(home.runtime),
        "MW_PASSWORD": password,
        "MILLWRIGHT_PROGRAMS": json.dumps(entries),
    }
