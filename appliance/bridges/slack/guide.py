"""How Slack is set up, in short."""

from appliance.bridges.guides import Guide
from appliance.lib.said import say

GUIDE = Guide(
    needs=say("An app in your workspace, with a bot token. Works behind any router."),
    steps=(
        say("On api.slack.com/apps make an app from the manifest that stands in the manual, and install it."),
        say("Copy the bot token (xoxb-…) from OAuth & Permissions."),
        say("Under Basic Information make an app-level token (xapp-…) with the scope connections:write."),
        say("Invite the app into each channel where it is to write."),
    ),
    manual="how-to/slack.md",
    webhook=say("Enter it in the app's settings twice: Event Subscriptions, and Interactivity & Shortcuts."),
)
