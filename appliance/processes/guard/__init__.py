"""Guard: the only privileged process, and the only one that holds the container engine's socket."""
