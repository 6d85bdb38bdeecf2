"""``shell``: a command of this machine, confined."""

import re

from appliance.agent.domain import Risk
from appliance.agent.tools.contract import Arguments, Tool
from appliance.lib.jsontypes import JsonObject
from appliance.safety.commands.domain import CommandClass
from appliance.safety.understood import classify

_RISKS = {CommandClass.READ: Risk.READ, CommandClass.DESTROY: Risk.DESTROY}

_READERS = """
[ : awk b2sum base64 basename cat cd cksum cmp column comm cut date df diff dirname dmesg du echo egrep expand false
fgrep file find findmnt fmt fold free gawk grep groups head hexdump id iostat ip journalctl jq last ls lsblk lscpu lsmod
lspci lsusb mawk md5sum mpstat nl nproc nvidia-smi od paste printf ps pwd read readlink realpath sed sensors seq set
sha1sum sha256sum sha512sum sleep smartctl sort ss stat strings systemctl tac tail test top tr true uname uniq uptime
vmstat w wc who whoami xxd xzcat zcat
"""
READERS = frozenset(_READERS.split())
"""Programs that read this machine alone: no address that a command names gets a word of it, and no file of settings
that anybody may have put beside it makes them run something else."""
WRAPPERS = frozenset({"bash", "command", "dash", "env", "nice", "sh", "time", "timeout", "xargs"})
"""Programs that run others, which the parser has looked at."""
_DEVICE = re.compile(r"/dev(?!/(?:null|zero|u?random|stdin|stdout|stderr)(?![\w/.-]))")
"""To open some device files does something already, and bash takes /dev/tcp for the network."""
_QUOTES = re.compile(r"[\\'\"]")


class ShellArguments(Arguments):
    command: str
    """The command, as for /bin/sh."""
    reads: tuple[str, ...] = ()
    """Absolute paths that it may read besides the system's own and /var/log."""
    writes: tuple[str, ...] = ()
    """Absolute paths that it may write."""
    network: tuple[str, ...] | None = None
    """What it may connect to."""


class ShellTool(Tool[ShellArguments]):
    name = "shell"
    says = "Run a command on this machine, confined; gives its standard output."
    arguments = ShellArguments
    risk = Risk.CHANGE
    by_author = frozenset({"reads", "writes", "network"})
    example = {"command": "tail -n 20 /var/log/syslog"}
    also = ({"command": "systemctl restart pump"},)

    def step(self, given: ShellArguments) -> JsonObject:
        said = given.model_dump(mode="json", exclude_defaults=True)
        return {"type": "shell", **said}

    def risk_of(self, given: ShellArguments) -> Risk:
        """By the class of its command; a read is only what surely reads this machine alone.

        Which programs lie behind the names is known at the gate, which asks after all where they are none that root
        has put there.
        """
        found, programs = classify("shell", {"command": {"script": given.command, "arguments": []}})
        risk = _RISKS.get(found, Risk.CHANGE)
        if risk is not Risk.READ:
            return risk
        device = _DEVICE.search(_QUOTES.sub("", given.command))
        sure = programs and set(programs) <= READERS | WRAPPERS and not device and not given.writes
        return Risk.READ if sure else Risk.CHANGE
