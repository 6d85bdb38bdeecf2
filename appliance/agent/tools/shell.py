"""``shell``: a command of this machine, confined."""

from collections.abc import Collection

from appliance.agent.domain import Risk
from appliance.agent.tools.contract import Arguments, Tool
from appliance.lib.jsontypes import JsonObject
from appliance.safety.commands.domain import CommandClass
from appliance.safety.understood import classify

_LOCAL = """
[ awk basename cat cd cksum cmp column comm cut date df diff dirname dmesg du echo egrep env expr false fgrep file find
findmnt fmt fold free gawk grep head hexdump id iostat ip jq journalctl join ls lsblk lscpu lsmod lspci lsusb mawk
md5sum mount mpstat nl nproc od paste pgrep pidof printenv printf ps pwd readlink realpath rev sar sed seq sha1sum
sha256sum sha512sum sleep sort ss stat strings systemctl tac tail test tr true tty uname uniq uptime vmstat w wc who
whoami xxd zcat zgrep
"""
LOCAL = frozenset(_LOCAL.split())
"""Programs that look at this machine alone. Whatever else only reads may ask another one, and tell it so."""
_RISKS = {CommandClass.READ: Risk.READ, CommandClass.DESTROY: Risk.DESTROY}


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

    def step(self, given: ShellArguments) -> JsonObject:
        said = given.model_dump(mode="json", exclude_defaults=True)
        return {"type": "shell", **said}

    def risk_of(self, given: ShellArguments) -> Risk:
        """By the class of its command. With paths that it may write it changes something, whatever it says."""
        found, _ = classify("shell", {"command": {"script": given.command, "arguments": []}})
        risk = _RISKS.get(found, Risk.CHANGE)
        return Risk.CHANGE if risk is Risk.READ and given.writes else risk

    def leaves(self, given: ShellArguments, fixed: Collection[str]) -> bool:
        """A name that is looked up, or a page that is fetched, tells somebody else what was asked.

        Not where its author says that it reaches nothing: but that holds only where the kernel sees to it, so it is no
        reason here.
        """
        _, programs = classify("shell", {"command": {"script": given.command, "arguments": []}})
        return not LOCAL.issuperset(programs)
