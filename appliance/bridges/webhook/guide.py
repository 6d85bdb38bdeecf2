"""How a program of one's own is connected, in short."""

from appliance.bridges.guides import Guide
from appliance.lib.said import say

GUIDE = Guide(
    needs=say("A program of your own that takes signed HTTP requests, sends them, or both."),
    steps=(
        say("Think of a long shared secret, and give it to your program."),
        say("Enter the address that your program listens on, if the box is to send."),
        say("Enter an address of this box as the webhook, if your program is to call it."),
    ),
    manual="how-to/webhook-bridge.md",
    webhook=say("Your program sends its signed requests there."),
)
