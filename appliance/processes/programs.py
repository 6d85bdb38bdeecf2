"""The services of the box, and what each program sees of the environment."""

import contextlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from appliance.lib.config import ROOT, Config, KernelRulesMode, plain_environment
from appliance.lib.crashpoints import VARIABLE
from appliance.processes import go_ahead, launch
from appliance.processes.engines import Engine
from appliance.processes.forkserver import NAME as FORKSERVER
from appliance.processes.guard.presence import absence, rules_absence
from appliance.processes.leftovers import MARK
from appliance.processes.privilege import Privilege
from appliance.sandbox.ebpf.cgroups import tree_of
from appliance.sandbox.ebpf.errors import NoKernelRules
from appliance.sandbox.ebpf.mounts import cgroup2

SERVICES = ("spawner", "keeper", "worker", "reactor", "beat", "web")
GUARD = "guard"
"""The one service that not every box has."""
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR")
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "all_proxy")


@dataclass(frozen=True, slots=True)
class Program:
    """One entry of the process manager: what to start, as whom, and how it is asked to stop."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    stop_signal: str = "TERM"
    stop_seconds: int = 20
    death_signal: str = "KILL"
    """What it gets when the process manager is killed."""
    uid: int | None = None
    keep: tuple[int, ...] = ()
    in_namespace: bool = False
    forked: bool = False
    """Whether the fork server may fork it: user, environment and powers are the fork server's own."""


def engine_program(engine: Engine, config: Config, privilege: Privilege) -> Program:
    return Program(
        engine.name,
        engine.command,
        _base(config),
        stop_signal=engine.stop_signal,
        stop_seconds=engine.stop_seconds,
        death_signal=engine.stop_signal,
        uid=privilege.uid,
        keep=engine.keep,
        in_namespace=engine.in_namespace,
    )


def service_programs(config: Config, privilege: Privilege, certificate: tuple[Path, Path]) -> list[Program]:
    """Spawner, guard where it has anything to do, fork server, keeper, worker, reactor, beat and web, as they are
    started."""
    environment = _service_environment(config, certificate)
    found = [_spawner(config, privilege)]
    # Also where it can have neither: it says why.
    if not absence(config) or (privilege.root and config.kernel_rules is not KernelRulesMode.OFF):
        found.append(_guard(config, privilege, environment))
    for name in (FORKSERVER, *SERVICES[1:]):
        low_port = name == "web" and config.http_listen[1] < 1024
        found.append(
            Program(
                name,
                (sys.executable, str(ROOT / "manage.py"), name),
                environment,
                # The keeper ends the engines of models before itself.
                stop_seconds=30 if name == "keeper" else 20,
                uid=privilege.uid,
                keep=(launch.CAP_NET_BIND_SERVICE,) if low_port else (),
                forked=name != FORKSERVER and not low_port,
            )
        )
    return found


def _spawner(config: Config, privilege: Privilege) -> Program:
    """Started by root it stays root, with just what it takes to make jobs somebody else's and to clear up
    after them."""
    home = config.home
    script = str(ROOT / "appliance/sandbox/process/spawner.py")
    command = [
        sys.executable,
        "-I",
        "-S",
        script,
        "--socket",
        str(home.spawner_socket),
        "--home",
        str(home.path),
        "--models",
        str(home.models),
        "--engine",
        config.container_engine.removeprefix("unix://"),
    ]
    keep: tuple[int, ...] = ()
    if privilege.root:
        command += ["--uid", str(home.sandbox_uid), "--gid", str(home.sandbox_uid)]
        command += ["--peer-uid", str(privilege.uid or 0)]
        with contextlib.suppress(NoKernelRules):
            command += ["--cgroups", str(tree_of(cgroup2(), home.id))]
        keep = (
            *(launch.CAP_CHOWN, launch.CAP_DAC_OVERRIDE, launch.CAP_FOWNER),
            *(launch.CAP_KILL, launch.CAP_SETGID, launch.CAP_SETUID),
        )
    return Program("spawner", tuple(command), _base(config), stop_seconds=10, keep=keep)


def _guard(config: Config, privilege: Privilege, environment: Mapping[str, str]) -> Program:
    """Started by root it stays root: the engine's socket is root's. What else it keeps is for the working folders
    of containers, which belong to another user, and for the kernel's rules."""
    keep: tuple[int, ...] = ()
    if privilege.root:
        keep = (launch.CAP_CHOWN, launch.CAP_DAC_OVERRIDE, launch.CAP_SYS_PTRACE)
        if not rules_absence(config):
            keep += (launch.CAP_NET_ADMIN, launch.CAP_PERFMON, launch.CAP_BPF)
    # Nothing that guard does needs a secret of the box.
    hidden = {"DATABASE_URL", "REDIS_URL", "MQTT_URL", "MILLWRIGHT_SECRET_KEY"}
    return Program(
        GUARD,
        (sys.executable, str(ROOT / "manage.py"), GUARD),
        {name: value for name, value in environment.items() if name not in hidden},
        stop_seconds=25,
        keep=keep,
    )


def _base(config: Config) -> dict[str, str]:
    found = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    found.setdefault("PATH", os.defpath)
    return {**found, MARK: config.home.id}


def _service_environment(config: Config, certificate: tuple[Path, Path]) -> dict[str, str]:
    proxies = {name: value for name, value in os.environ.items() if name.lower() in _PROXIES}
    settings = plain_environment(os.environ)
    crash = {VARIABLE: os.environ[VARIABLE]} if VARIABLE in os.environ else {}
    if config.tls_own is False:
        # The services may not read the operator's files; they have copies.
        settings |= {
            "MILLWRIGHT_TLS_CERTIFICATE": str(certificate[0]),
            "MILLWRIGHT_TLS_KEY": str(certificate[1]),
        }
    return {
        **_base(config),
        **proxies,
        **settings,
        **crash,
        "MILLWRIGHT_HOME": str(config.home.path),
        go_ahead.VARIABLE: str(go_ahead.file_of(config.home)),
        "HOME": str(config.home.path),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
