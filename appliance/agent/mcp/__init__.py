"""The Model Context Protocol: this box as a server, and servers that an admin added."""
