"""A server of tools made with the official SDK, as a process of its own: over HTTP at a port, or over its pipes.

python mcp_official.py http PORT
python mcp_official.py stdio [hang|flood|die]
"""

import os
import sys
import time
from pathlib import Path

from mcp.server.mcpserver import MCPServer

server = MCPServer("store")


@server.tool()
def find(part: str) -> str:
    """Find a part in the store."""
    return f"{part}: 12 in shelf B"


@server.tool()
def token() -> str:
    """Say which token this server was given."""
    return os.environ.get("STORE_TOKEN", "none")


@server.tool()
def look_around(file: str, folder: str) -> str:
    """Say what this server reaches: a file, a folder to write into, and the names in its environment."""
    found = [f"env {name}" for name in os.environ]
    try:
        found.append(f"read {Path(file).read_text()}")
    except OSError as error:
        found.append(f"no read: {error.strerror}")
    try:
        (Path(folder) / "written").write_text("x")
        found.append("wrote")
    except OSError as error:
        found.append(f"no write: {error.strerror}")
    return "; ".join(found)


@server.tool()
def misbehave() -> str:
    """Do as it was started for."""
    how = sys.argv[2]
    if how == "hang":
        time.sleep(60)
    if how == "flood":
        return "x" * (2 << 20)
    os._exit(3)


if __name__ == "__main__":
    if sys.argv[1] == "http":
        server.run("streamable-http", port=int(sys.argv[2]))
    else:
        server.run("stdio")
