"""Ports for servers under test."""

from __future__ import annotations

import random
import socket
from contextlib import ExitStack

# Below those that Linux gives to connections (32768 and up), one of which could take a port before
# its server does, and above those that Ray takes for its workers.
_FROM, _TO = 20_000, 32_000


def free_ports(num_ports: int) -> list[int]:
    """Ports of loopback that nothing listens on; all held at once, so that no two are the same."""
    ports: list[int] = []
    with ExitStack() as stack:
        while len(ports) < num_ports:
            port = random.SystemRandom().randrange(_FROM, _TO)
            probe = stack.enter_context(socket.socket())
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue  # taken
            ports.append(port)
    return ports


def free_port() -> int:
    return free_ports(1)[0]
