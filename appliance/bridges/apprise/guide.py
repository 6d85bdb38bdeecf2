"""How a service that apprise knows is set up, in short."""

from appliance.bridges.guides import Guide
from appliance.lib.said import say

GUIDE = Guide(
    needs=say("Discord, Matrix, e-mail, ntfy and others, by one address each. It only sends."),
    steps=(
        say("Make a webhook, a token or an account at the service; the manual says how for the usual ones."),
        say("Write its address as apprise has it, such as discord://ID/TOKEN, into the form."),
        say("One address for each platform: two rooms are two platforms."),
    ),
    manual="how-to/apprise.md",
)
