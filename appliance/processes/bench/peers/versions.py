"""The one list of what is installed, pinned."""

PAHO = "paho-mqtt==2.2.0"
CELERY = "celery==5.7.0"
REDIS = "redis==6.4.0"
PACKAGING = "packaging==26.4"
"""kombu's Redis transport imports it and does not ask for it."""
DBOS = "dbos==3.4.0"
PSYCOPG = "psycopg[binary]==3.3.9"
NODE_RED = "node-red@4.1.8"
"""Runs on node 18 and newer; Node-RED 5 asks for node 22.9."""
NODE_MAJOR = 18
