"""``shell``: a command of this machine, confined."""

from appliance.agent.domain import Risk
from appliance.agent.tools.contract import Arguments, Tool
from appliance.lib.jsontypes import JsonObject
from appliance.safety.commands.domain import CommandClass
from appliance.safety.understood import classify

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
