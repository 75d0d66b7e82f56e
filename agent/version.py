"""The agent's version: told to the CSMS as firmwareVersion and to the board in HELLO, read by the package metadata."""

VERSION = "0.1.0"
