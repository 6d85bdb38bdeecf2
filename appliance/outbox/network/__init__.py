"""The network monitor: what the box has to do with, whether it can be reached, and since when."""
