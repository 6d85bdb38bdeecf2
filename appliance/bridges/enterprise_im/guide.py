"""How Feishu and Lark are set up, in short."""

from appliance.bridges.guides import Guide
from appliance.lib.said import say

GUIDE = Guide(
    needs=say("A custom app of your company with its App ID and App Secret. Works behind any router."),
    steps=(
        say("In the developer console make a custom app, and add the bot to it."),
        say("Give it the permissions that stand in the manual."),
        say("Copy the App ID and the App Secret into the form, and save: the box connects."),
        say(
            "Under Events & callbacks choose the persistent connection for both, and add im.message.receive_v1 "
            "and card.action.trigger."
        ),
        say("Publish a version of the app."),
    ),
    manual="how-to/feishu.md",
    webhook=say(
        "Enter it under Events & callbacks, for events and again for callbacks, after the Encrypt Key."
    ),
)
