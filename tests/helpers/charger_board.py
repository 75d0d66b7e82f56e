"""An I/O board on a serial line of the simulated charger: our firmware on simulated electricity, on a pseudo terminal.

A process of its own: `charger_board LINK FOLDER [plugged]`. LINK becomes the name of the port; the firmware says
the version and the pin map in the files `version` and `pcb` of FOLDER, as a board does that was flashed with them."""

import asyncio
import os
import sys
import tty
from pathlib import Path

from board import app
from hal.sim.firmware import SimulatedBoard
from hal.sim.world import World


def open_port(link: Path) -> tuple[int, int]:
    """Our end of the line, and the other one, which is kept open so that the line stays."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    os.chmod(os.ttyname(theirs), 0o666)
    link.unlink(missing_ok=True)
    link.symlink_to(os.ttyname(theirs))
    return ours, theirs


async def main(ours: int, is_plugged: bool) -> None:
    loop = asyncio.get_running_loop()
    world = World(evses=1, loop=loop)
    line = SimulatedBoard(world).line
    if is_plugged:
        world.plug(1)
    await line.open(lambda octets: void(os.write(ours, octets)), void)
    loop.add_reader(ours, lambda: line.write(os.read(ours, 4096)))
    await loop.create_future()


def void(_ignored: object) -> None:
    pass


if __name__ == "__main__":
    app.FIRMWARE_VERSION = Path(sys.argv[2], "version").read_text().strip()
    SimulatedBoard.pcb = Path(sys.argv[2], "pcb").read_text().strip()
    port, _kept = open_port(Path(sys.argv[1]))
    asyncio.run(main(port, sys.argv[3:] == ["plugged"]))
