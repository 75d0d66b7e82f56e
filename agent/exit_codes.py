"""How the process ends: the exit codes of `evse-agent`, a contract with systemd and scripts (docs/commands.md).

Used by `cli.py` and `app.py`; imports nothing.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1
    """Something went wrong that no other code names; the message says what."""
    USAGE = 2
    """The command line was wrong (click's own code)."""
    BAD_CONFIG = 3
    NO_AGENT = 4
    """No agent answers on the socket."""
    BAD_STORE = 5
    """The durable store is damaged, or the disk takes no more."""
    ALREADY_RUNNING = 6
    """Another agent uses the state directory."""
    RESET_SOFT = 10
    """The CSMS asked for a Soft Reset and [agent] on_reset is "exit": start me again."""
    RESET_HARD = 11
