"""The container sandbox: templates, limits and system call filter as code, the engine's API, a pool of warm
containers, and a client. Only guard (appliance/processes/guard) runs more of this than ``client``.
"""
