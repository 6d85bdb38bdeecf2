"""The process sandbox: a small spawner forks, confines and executes; a client talks to it.

Everything here but ``client`` runs in the spawner: standard library only, few modules, no Django, one thread.
"""
