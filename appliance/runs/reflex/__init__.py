"""The reflex lane: runs of instant steps, performed inside the reactor between two group commits."""
