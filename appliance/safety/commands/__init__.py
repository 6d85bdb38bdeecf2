"""What a command will do, before it runs: pure but for :mod:`binaries`, which looks at the programs on the disk.

``understand`` takes what ``/bin/sh -c`` gets, ``understand_argv`` a program with its arguments; both give leaves
with a class and a reason each. ``plan`` finds the programs that will run and their digests.
"""

from appliance.safety.commands.binaries import Plan, plan
from appliance.safety.commands.domain import CommandClass, Leaf, Understanding, Word, strictest
from appliance.safety.commands.outline import outline
from appliance.safety.commands.understanding import understand, understand_argv

__all__ = [
    "CommandClass",
    "Leaf",
    "Plan",
    "Understanding",
    "Word",
    "outline",
    "plan",
    "strictest",
    "understand",
    "understand_argv",
]
