"""Joins stdin and stdout to port 22 of the network namespace it runs in: the cable to a simulated charger."""

import os
import selectors
import socket

with socket.create_connection(("127.0.0.1", 22)) as line, selectors.DefaultSelector() as selector:
    selector.register(0, selectors.EVENT_READ)
    selector.register(line, selectors.EVENT_READ)
    is_open = True
    while is_open:
        for key, _events in selector.select():
            if key.fd == 0:
                block = os.read(0, 65536)
                line.sendall(block)
            else:
                block = line.recv(65536)
                rest = memoryview(block)
                while rest:
                    rest = rest[os.write(1, rest) :]
            is_open = is_open and bool(block)
