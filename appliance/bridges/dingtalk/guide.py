"""How DingTalk is set up, in short."""

from appliance.bridges.guides import Guide
from appliance.lib.said import say

GUIDE = Guide(
    needs=say("An internal app (people can answer), or the robot of one group. Works behind any router."),
    steps=(
        say(
            "An app: at open-dev.dingtalk.com make an internal app with the capability Robot in Stream mode."
        ),
        say("Give it the permissions that stand in the manual, and publish a version."),
        say("Copy Client ID and Client Secret into the form."),
        say(
            "Or a group's robot: in the group's settings add a Custom robot with a signature; copy its access "
            "token and signing secret, and leave the rest empty."
        ),
    ),
    manual="how-to/dingtalk.md",
)
