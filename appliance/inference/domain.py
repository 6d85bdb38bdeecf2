"""The vocabulary of models: what serves them, what they are for, and the states of one that is loaded."""

from enum import StrEnum


class EngineKind(StrEnum):
    """What serves a model. The names of the folders in ``backends/``."""

    TRTLLM = "trtllm"
    VLLM = "vllm"
    LLAMACPP = "llamacpp"
    REMOTE = "remote"


class ModelFormat(StrEnum):
    GGUF = "gguf"
    SAFETENSORS = "safetensors"
    """A folder as Hugging Face lays it out: ``config.json``, the tokenizer's files, ``*.safetensors``."""
    REMOTE = "remote"
    """No weights: ``remote.json`` says where somebody else serves it."""


class Work(StrEnum):
    """Kinds of work, for the selection matrix."""

    CHAT = "chat"
    CODE = "code"
    LOGS = "logs"
    CLASSIFICATION = "classification"
    EXTRACTION = "extraction"
    EMBEDDINGS = "embeddings"
    ANOMALY = "anomaly"


class InstanceState(StrEnum):
    """The life of one model that is, or is to be, loaded. Every change is a row with its reason."""

    ABSENT = "absent"
    CREATING = "creating"
    LOADING = "loading"
    READY = "ready"
    DRAINING = "draining"
    """It gets no new request; those under way may end."""
    STOPPING = "stopping"
    FAILED = "failed"
    """It is tried again after a pause."""
    QUARANTINED = "quarantined"
    """It died too often: a person, or another version, lets it out."""


class CandidateState(StrEnum):
    """Of a version that is to go live once its tests have passed."""

    WAITING = "waiting"
    TESTING = "testing"
    REFUSED = "refused"
    """It did not pass, or could not be tested; what is live stays."""


class Need(StrEnum):
    """What a request asks of a model beyond text."""

    TOOLS = "tools"
    JSON = "json"
    VISION = "vision"
    EMBEDDINGS = "embeddings"
