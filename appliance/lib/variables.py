"""Every environment variable that a box reads, with its default and meaning; the documentation's table is compared with
it by a test."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Variable:
    name: str
    default: str
    meaning: str


VARIABLES = (
    Variable("MILLWRIGHT_HOME", "./var", "Folder of everything that must be backed up"),
    Variable(
        "MILLWRIGHT_ENV_FILE",
        ".env beside manage.py",
        "File of NAME=value lines; weaker than the environment",
    ),
    Variable("MILLWRIGHT_LISTEN", "127.0.0.1:<port of the home>", "Where the web admin listens, host:port"),
    Variable(
        "MILLWRIGHT_MQTT_LISTEN", "127.0.0.1:<port of the home>", "Where the MQTT broker listens, host:port"
    ),
    Variable(
        "MILLWRIGHT_TLS",
        "auto",
        "auto: TLS on whatever listens beyond loopback; yes: everywhere; no: nowhere",
    ),
    Variable(
        "MILLWRIGHT_TLS_CERTIFICATE", "made at start", "PEM file of your own certificate, with its chain"
    ),
    Variable("MILLWRIGHT_TLS_KEY", "made at start", "PEM file of its private key"),
    Variable("MILLWRIGHT_PUBLIC_URL", "http(s)://<MILLWRIGHT_LISTEN>", "The address that people type"),
    Variable("MILLWRIGHT_ALLOWED_HOSTS", "", "More host names under which the box answers, by comma"),
    Variable(
        "MILLWRIGHT_TRUSTED_PROXIES",
        "",
        "Addresses or networks of your reverse proxies, by comma; only they are believed about who calls",
    ),
    Variable(
        "MILLWRIGHT_HSTS_SECONDS",
        "auto",
        "How long browsers insist on TLS for this name; auto: a year, unless the box signed its own certificate",
    ),
    Variable(
        "MILLWRIGHT_ROOT_KEY_FILE",
        "secrets/root_key in the home",
        "File of the key that seals secrets; by systemd it may be the credential millwright_root_key",
    ),
    Variable(
        "MILLWRIGHT_ADMIN_PASSWORD_FILE", "", "File with the first admin's password, for set-up by a program"
    ),
    Variable(
        "MILLWRIGHT_TWO_STEP_ROLES",
        "",
        "Roles whose people must log in in two steps, by comma: admin,engineer",
    ),
    Variable("MILLWRIGHT_SECRET_KEY", "generated", "Key of sessions and signatures"),
    Variable("MILLWRIGHT_DEBUG", "no", "Django's debug pages; never on a box that others can reach"),
    Variable(
        "MILLWRIGHT_POWER_SAFE",
        "yes",
        "no: the broker syncs each second, not every message; a power cut may lose the last second",
    ),
    Variable("MILLWRIGHT_KEEP_DAYS", "30", "Days of runs, occurrences and events to keep"),
    Variable("MILLWRIGHT_KEEP_BYTES", "10000000000", "Bytes of runs, occurrences and events to keep"),
    Variable(
        "MILLWRIGHT_CONVERSATION_DAYS", "90", "Days of what people and the agent have said to each other"
    ),
    Variable(
        "MILLWRIGHT_AUDIT_KEEP_DAYS", "365", "Days of the audit record to keep in the database; 0: for ever"
    ),
    Variable(
        "MILLWRIGHT_AUDIT_OLD",
        "archive",
        "What becomes of older records: archive (signed files in audit/segments/ of the home), or drop",
    ),
    Variable(
        "MILLWRIGHT_DISK_FREE",
        "500000000",
        "Bytes that must be free on the disk of the home; with less the part `disk` is low",
    ),
    Variable("MILLWRIGHT_WATCH", "#", "MQTT filters whose last values are kept, by comma"),
    Variable(
        "MILLWRIGHT_HISTORY",
        "",
        "MQTT filters whose numbers are kept over time, by comma, beside those that tasks chart",
    ),
    Variable(
        "MILLWRIGHT_MQTT_EVENTS", "yes", "no: the box's events are not published on millwright/<box>/events/"
    ),
    Variable(
        "MILLWRIGHT_NETWORK_TARGETS",
        "",
        "What else to watch on the network, name=host:port, by comma",
    ),
    Variable("MILLWRIGHT_TELEGRAM_API", "https://api.telegram.org", "Root of the Telegram Bot API"),
    Variable("MILLWRIGHT_CONTAINER_ENGINE", "unix:///var/run/docker.sock", "Socket of the Docker engine"),
    Variable("MILLWRIGHT_CONTAINER_READS", "", "Folders that `container` steps may read from, by comma"),
    Variable("MILLWRIGHT_CONTAINER_WRITES", "", "Folders that they may read and write, by comma"),
    Variable("MILLWRIGHT_CONTAINER_DEVICES", "", "Device files that the template device gives, by comma"),
    Variable(
        "MILLWRIGHT_TRUSTED_IMAGES", "", "Digests of the images that may use the template trusted, by comma"
    ),
    Variable("MILLWRIGHT_CONTAINER_POOL", "1", "Containers kept ready of each image in use; 0: none"),
    Variable("MILLWRIGHT_CONTAINER_IDLE", "600", "Seconds after its last use that an image keeps them"),
    Variable(
        "MILLWRIGHT_MODEL_IMAGES",
        "",
        "Images of engines for models, `engine=version@image@sha256:…` by comma; engines: `trtllm`, `vllm`, `llamacpp`"
        "; tools: `llamacpp-tools`, `modelopt`",
    ),
    Variable(
        "MILLWRIGHT_CACHE",
        "cache in the home",
        "Folder in which engines of models in containers keep what they compiled for this machine",
    ),
    Variable(
        "MILLWRIGHT_REMOTE_MODELS",
        "",
        "Where models elsewhere may be asked, by comma: `models.example`, `http://10.0.0.5:8000`; empty: nowhere",
    ),
    Variable(
        "MILLWRIGHT_REMOTE_MODELS_CA",
        "",
        "PEM file of your own authority, where models elsewhere have certificates of it; the usual ones count too",
    ),
    Variable(
        "MILLWRIGHT_CHAT_MODEL",
        "yes",
        "no: a sentence in a chat that the box does not understand by itself is shown to no served model",
    ),
    Variable(
        "MILLWRIGHT_CHAT_MODEL_SECONDS",
        "5",
        "How long a chat waits for what such a model says of a sentence, 1 to 20",
    ),
    Variable(
        "MILLWRIGHT_MODELS",
        "real",
        "`refused`: the keeper gives nobody a real model, only those of `MILLWRIGHT_STANDIN_MODELS`; for tests",
    ),
    Variable(
        "MILLWRIGHT_STANDIN_MODELS",
        "",
        "Names of models whose engines are stand-ins, by comma; only where others are refused",
    ),
    Variable(
        "MILLWRIGHT_MODEL_NETWORK",
        "made by guard",
        "A network of the container engine for models' containers, which leads nowhere; for a box in containers",
    ),
    Variable(
        "MILLWRIGHT_KERNEL_RULES",
        "auto",
        "`auto`: what a command reaches is limited by the kernel and recorded where that can be done; `required`: a "
        "step whose `network` is limited waits where it cannot; `off`: neither is done",
    ),
    Variable(
        "MILLWRIGHT_UNDECLARED_NETWORK",
        "allow",
        "What becomes of a command whose step declares no `network`: `allow` all, `amber` for allowed but marked, or "
        "`deny`, which holds everywhere only with `MILLWRIGHT_KERNEL_RULES=required`",
    ),
    Variable(
        "MILLWRIGHT_HOLD_UNDECLARED",
        "no",
        "`yes`: a task one of whose runs does what it did not declare is switched off until a person looks",
    ),
    Variable(
        "MILLWRIGHT_BENCH_CACHE", "~/.cache/millwright-bench", "Where `bench --peers` installs the peers"
    ),
    Variable("DATABASE_URL", "embedded", "postgresql://user:password@host/name of your own PostgreSQL 16+"),
    Variable("REDIS_URL", "embedded", "redis://:password@host:port of your own Redis or Valkey"),
    Variable("MQTT_URL", "embedded", "mqtt://user:password@host:port (or mqtts://) of your own broker"),
)
