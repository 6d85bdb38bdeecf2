"""One message in and one out: ``round_trip.py URL``. Run where the engine's networks are."""

import sys
import threading
from urllib.parse import urlsplit

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

URL = urlsplit(sys.argv[1])
answered = threading.Event()


def hear(client: Client, data: object, message: MQTTMessage) -> None:
    if not answered.is_set():
        sys.stdout.write(message.payload.decode())
    answered.set()


client = Client(CallbackAPIVersion.VERSION2)
client.username_pw_set(URL.username, URL.password)
client.on_message = hear
client.connect(URL.hostname or "", URL.port or 1883)
client.loop_start()
client.subscribe("devices/press/out", qos=1)
for _ in range(30):  # the box hears of a new task within seconds, not at once
    client.publish("devices/press/in", b'{"n": 5}', qos=1).wait_for_publish(10)
    if answered.wait(2):
        break
client.loop_stop()
sys.exit(0 if answered.is_set() else 1)
