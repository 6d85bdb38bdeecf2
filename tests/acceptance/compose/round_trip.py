"""One message in and one out: ``round_trip.py URL``. Run where the engine's networks are."""

import sys
import threading
from urllib.parse import urlsplit

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

URL = urlsplit(sys.argv[1])
answered = threading.Event()


def hear(client: Client, data: object, message: MQTTMessage) -> None:
    sys.stdout.write(message.payload.decode())
    answered.set()


client = Client(CallbackAPIVersion.VERSION2)
client.username_pw_set(URL.username, URL.password)
client.on_message = hear
client.connect(URL.hostname or "", URL.port or 1883)
client.loop_start()
client.subscribe("devices/press/out", qos=1)
client.publish("devices/press/in", b'{"n": 5}', qos=1).wait_for_publish(10)
sys.exit(0 if answered.wait(60) else 1)
