"""MicroPython firmware of the I/O board; the same import path on host and target."""
