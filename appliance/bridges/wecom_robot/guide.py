"""How the robot of a WeCom group is set up, in short."""

from appliance.bridges.guides import Guide
from appliance.lib.said import say

GUIDE = Guide(
    needs=say("The key of a robot in one group. It only sends; set up in a minute."),
    steps=(
        say("In the group's menu at the top right: Group robot, Add."),
        say("Copy what stands behind key= in the address into the form."),
    ),
    manual="how-to/wecom.md",
)
