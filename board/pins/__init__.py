"""The pin maps: one file for each printed circuit board, numbers and names only (see `board/wiring.py`).

Which one a board uses stands in its file `pcb.txt`, one word, written when it is flashed. To bring up another board,
copy the map that is nearest and change its numbers: docs/board-bring-up.md.
"""

import sys

from board.wiring import Wiring


def load(name: str) -> Wiring:
    """The checked map of that name. Raises ValueError that says why there is none."""
    for letter in name:
        if not (letter.isdigit() or letter.isalpha() or letter == "_"):
            raise ValueError("no pin map is called %r" % name)
    if not name:
        raise ValueError("no pin map is named: pcb.txt is missing or empty")
    path = "board.pins." + name
    try:
        __import__(path)
    except ImportError:
        raise ValueError("no pin map is called %r" % name)  # noqa: B904 - MicroPython keeps no cause
    except Exception as error:  # the installer's own file: whatever is wrong with it, the host hears of it
        raise ValueError("pin map %s: %r" % (name, error))  # noqa: B904 - as above
    wiring = Wiring(name, sys.modules[path])
    try:
        wiring.check()
    except ValueError as error:
        raise ValueError("pin map %s: %s" % (name, error))  # noqa: B904 - as above
    except (TypeError, AttributeError, KeyError) as error:
        raise ValueError("pin map %s: %r" % (name, error))  # noqa: B904 - as above
    return wiring
