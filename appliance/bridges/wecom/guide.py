"""How an app in WeCom is set up, in short."""

from appliance.bridges.guides import Guide
from appliance.lib.said import say

GUIDE = Guide(
    needs=say(
        "An app that your company made. For answers, an https address under which WeCom reaches the box."
    ),
    steps=(
        say("In the administration of WeCom make a self-built app, and choose who may see it."),
        say("Copy AgentId and Secret from its page, and the Company ID from My Company."),
        say("For answers: under Receive messages let WeCom make Token and EncodingAESKey, and copy both."),
        say("Save here first, then there: WeCom asks the box at that moment."),
        say("Enter the address from which the box goes out among the company's trusted IP addresses."),
    ),
    manual="how-to/wecom.md",
    webhook=say("Enter it on the app's page under Receive messages, once it is saved here."),
)
