"""Firmware of the station, as its manufacturer makes it: by the commands that the package ships, from a copied source.

Used by the cases about updates; the content of a release is none of their business.
"""

import asyncio
import shutil
import sys
from pathlib import Path

SOURCE = Path(__file__).parents[2]
COMMAND = Path(sys.executable).parent / "evse-agent"


async def make(folder: Path, version: str) -> Path:
    """A firmware file of this version in `folder`."""
    source = folder / f"source-{version}"
    for package in ("agent", "hal", "board"):
        shutil.copytree(
            SOURCE / package, source / package, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
    (source / "agent/version.py").write_text(f'VERSION = "{version}"\n')
    output = folder / f"firmware-{version}.zip"
    await _run("pack", str(source), str(output))
    return output


async def prepare(root: Path, release: Path) -> Path:
    """Lay out a machine; the launcher."""
    await _run("prepare", str(root), str(release))
    return root / "launch"


async def _run(*arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        str(COMMAND), "firmware", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
