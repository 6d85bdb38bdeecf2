"""Programs whose arguments need more than a table, and the shell's own commands."""

from appliance.safety.commands.programs.archives import tar
from appliance.safety.commands.programs.awk import awk
from appliance.safety.commands.programs.builtins import BUILTINS
from appliance.safety.commands.programs.disks import dd
from appliance.safety.commands.programs.sed import sed
from appliance.safety.commands.programs.shape import Check
from appliance.safety.commands.programs.signals import kill, kill_by_name, service

CHECKS: dict[str, Check] = {
    "tar": tar,
    "awk": awk,
    "gawk": awk,
    "mawk": awk,
    "nawk": awk,
    "dd": dd,
    "sed": sed,
    "kill": kill,
    "pkill": kill_by_name,
    "killall": kill_by_name,
    "service": service,
}
__all__ = ["BUILTINS", "CHECKS"]
