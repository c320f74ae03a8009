"""Ports for servers that cannot choose one themselves."""

import random
import socket

#: Below those that connections take, so that none takes one in between.
PORTS = range(10_000, 30_000)
CHANCE = random.SystemRandom()  # tests of two processes have the same seed


def free_port() -> int:
    """A port of this machine that nobody listens at."""
    while True:
        port = CHANCE.choice(PORTS)
        with socket.socket() as server:
            try:
                server.bind(('127.0.0.1', port))
            except OSError:
                continue
            return port
