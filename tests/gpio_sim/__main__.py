"""`make gpio-test`: the GPIO drivers on a kernel's own GPIO chips (gpio-sim), in a virtual machine.

Boots an installed Debian kernel under QEMU, on this machine's files (read only), and runs there the tests that are
marked `gpiosim`. Debian builds no gpio-sim, so it is compiled from the kernel's source package. Installs and downloads
nothing: says what is missing. All that it makes is in build/gpio-sim. Exit code: pytest's; 69: something is
missing. Arguments go to pytest (single words): python -m tests.gpio_sim -k removal
"""

import gzip
import importlib.util
import lzma
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from tests.gpio_sim.cpio import archive

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
BUILD = ROOT / "build/gpio-sim"
TIME_LIMIT_S = 300
MISSING = 69
MODULES = ("configfs", "virtio_pci", "9pnet_virtio", "9p")
"""What the kernel loads, with what they need, before it can see the host's files and gpio-sim."""
SOURCES = ("drivers/gpio/gpio-sim.c", "drivers/gpio/gpiolib.h", "kernel/irq/irq_sim.c")
PACKAGES = "linux-image-amd64 linux-headers-amd64 linux-source-6.1"


class Failed(Exception):
    """Said to the user as it is."""


@dataclass(frozen=True, slots=True)
class Kernel:
    release: str
    image: Path
    modules: Path

    @property
    def headers(self) -> Path:
        return self.modules / "build"

    @property
    def source(self) -> Path:
        """The package with this kernel's source; may not be there."""
        version = ".".join(self.release.split(".")[:2])
        return Path(f"/usr/src/linux-source-{version}.tar.xz")

    @property
    def built_in_sim(self) -> Path | None:
        """gpio-sim where the distribution builds it."""
        return next(iter(self.modules.glob("kernel/drivers/gpio/gpio-sim.ko*")), None)


def kernels() -> list[Kernel]:
    """Those installed that know GPIO (Debian's "cloud" kernels do not), the newest first."""
    found = []
    for image in Path("/boot").glob("vmlinuz-*"):
        release = image.name.removeprefix("vmlinuz-")
        modules = Path("/lib/modules") / release
        config = Path(f"/boot/config-{release}")
        if modules.is_dir() and config.exists() and "\nCONFIG_GPIOLIB=y\n" in config.read_text():
            found.append(Kernel(release, image, modules))
    return sorted(found, key=lambda kernel: _numbers(kernel.release), reverse=True)


def _numbers(release: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", release)]


def missing(found: list[Kernel]) -> list[str]:
    """One line for each thing that has to be installed first."""
    lines = []
    if platform.machine() != "x86_64":
        lines.append("an x86-64 computer: the virtual machine is one, and runs this machine's own Python")
    if shutil.which("qemu-system-x86_64") is None:
        lines.append("QEMU: apt-get install --no-install-recommends qemu-system-x86")
    if _busybox() is None:
        lines.append("a static busybox: apt-get install busybox-static")
    if not found:
        lines.append("a kernel that knows GPIO: apt-get install --no-install-recommends linux-image-amd64")
    elif not any(map(_may_have_sim, found)):
        lines.append(
            f"headers and source of kernel {found[0].release}, for gpio-sim: apt-get install {PACKAGES}"
        )
    lines += [f"{tool}: apt-get install gcc make" for tool in ("gcc", "make") if shutil.which(tool) is None]
    if importlib.util.find_spec("gpiod") is None:
        lines.append("gpiod: pip install 'evse-agent[gpio]'")
    return lines


def _may_have_sim(kernel: Kernel) -> bool:
    return kernel.built_in_sim is not None or (kernel.headers.exists() and kernel.source.exists())


def _busybox() -> Path | None:
    path = shutil.which("busybox")
    # A program that needs a loader names it.
    return Path(path) if path and b"/lib64/ld-linux" not in Path(path).read_bytes() else None


# ---- gpio-sim.ko


def sim_module(kernel: Kernel) -> bytes:
    if kernel.built_in_sim is not None:
        return _module(kernel.built_in_sim)
    folder = BUILD / kernel.release
    built = folder / "gpio-sim-evse.ko"
    if not built.exists() or built.stat().st_mtime < kernel.source.stat().st_mtime:
        print(f"gpio-test: building gpio-sim for kernel {kernel.release} ...", flush=True)
        _unpack(kernel, folder)
        done = subprocess.run(
            ["make", "-C", str(kernel.headers), f"M={folder}", "modules"], capture_output=True, text=True
        )
        if done.returncode or not built.exists():
            raise Failed(
                f"gpio-sim does not compile for kernel {kernel.release}:\n{done.stdout}{done.stderr}"
            )
    return built.read_bytes()


def _unpack(kernel: Kernel, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    top = kernel.source.name.removesuffix(".tar.xz")
    wanted = {f"{top}/{source}" for source in SOURCES}
    with tarfile.open(kernel.source, "r|xz") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.name in wanted else None
            if content is not None:
                text = content.read().decode()
                # Simulated interrupts come from a context that modules may only enter by the safe call.
                text = re.sub(
                    r"handle_simple_irq\(irq_to_desc\((\w+)\)\)", r"generic_handle_irq_safe(\1)", text
                )
                (folder / Path(member.name).name).write_text(text)
                wanted.discard(member.name)
                if not wanted:
                    break
    if wanted:
        raise Failed(f"{kernel.source} has no {', '.join(sorted(wanted))}")
    (folder / "Kbuild").write_text("obj-m := gpio-sim-evse.o\ngpio-sim-evse-y := gpio-sim.o irq_sim.o\n")


# ---- the first root file system


def initramfs(kernel: Kernel) -> bytes:
    busybox = _busybox()
    assert busybox is not None
    files = {
        "bin/busybox": busybox.read_bytes(),
        "init": (FOLDER / "init.sh").read_bytes(),
        "job.env": "".join(
            f"{name}={shlex.quote(value)}\n"
            for name, value in (
                ("JOB_FOLDER", str(ROOT)),
                ("JOB_PYTHON", sys.executable),
                ("JOB_ARGUMENTS", " ".join(sys.argv[1:])),
            )
        ).encode(),
    }
    needed = [_module(path) for path in _with_dependencies(kernel)]
    for number, content in enumerate([*needed, sim_module(kernel)]):
        files[f"modules/{number:02}"] = content
    return gzip.compress(archive(files), compresslevel=1)


def _with_dependencies(kernel: Kernel) -> list[Path]:
    """Files of MODULES and of what they need, in the order of loading; what is built in has none."""
    table: dict[str, tuple[str, list[str]]] = {}
    for line in (kernel.modules / "modules.dep").read_text().splitlines():
        path, _, needs = line.partition(":")
        table[Path(path).name.split(".")[0].replace("-", "_")] = (path, needs.split())
    ordered: dict[str, None] = {}
    for name in MODULES:
        if name in table:
            path, needs = table[name]
            ordered |= dict.fromkeys([*reversed(needs), path])
    return [kernel.modules / path for path in ordered]


def _module(path: Path) -> bytes:
    content = path.read_bytes()
    if path.suffix == ".xz":
        return lzma.decompress(content)
    if path.suffix != ".ko":
        raise Failed(f"cannot unpack {path}")
    return content


# ---- the machine


def run(kernel: Kernel) -> int:
    """Boot, show what the tests say, and return their exit code. Raises Failed."""
    BUILD.mkdir(parents=True, exist_ok=True)
    first_root = BUILD / "initramfs.gz"
    first_root.write_bytes(initramfs(kernel))
    # Emulated: KVM inside of another virtual machine fails in too many ways, and would save seconds only.
    options = {
        "-M": "q35",
        "-accel": "tcg",
        "-cpu": "max",
        "-smp": "2",
        "-m": "1024",
        "-display": "none",
        "-serial": "stdio",
        "-kernel": str(kernel.image),
        "-initrd": str(first_root),
        "-append": "console=ttyS0 quiet loglevel=1 panic=-1",
        "-virtfs": "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap",
    }
    flags = ["-nodefaults", "-no-user-config", "-no-reboot"]
    command = ["qemu-system-x86_64", *flags, *(word for option in options.items() for word in option)]
    print(f"gpio-test: booting kernel {kernel.release} ...", flush=True)
    begin = time.monotonic()
    machine = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    )
    limit = threading.Timer(TIME_LIMIT_S, machine.kill)
    limit.start()
    try:
        code, console = _listen(machine)
    finally:
        limit.cancel()
        machine.kill()
        _, errors = machine.communicate()
    if code is None:
        raise Failed(
            f"the machine ended without a word after {time.monotonic() - begin:.0f} s:\n{console}{errors}"
        )
    print(f"gpio-test: exit code {code} after {time.monotonic() - begin:.0f} s", flush=True)
    return code


def _listen(machine: "subprocess.Popen[str]") -> tuple[int | None, str]:
    """The exit code that it tells, and what it said before the tests began."""
    assert machine.stdout is not None
    console, has_begun = "", False
    for line in machine.stdout:
        line = line.rstrip()
        ended = re.search(r"gpio-sim exit (\d+)", line)
        if ended:
            return int(ended[1]), console
        if has_begun:
            print(line, flush=True)
        else:
            console += line + "\n"
            has_begun = line.endswith("gpio-sim start")
    return None, console


def main() -> int:
    found = kernels()
    lacking = missing(found)
    if lacking:
        print("gpio-test cannot run here. Missing:", *lacking, sep="\n  ", file=sys.stderr)
        return MISSING
    try:
        return run(next(filter(_may_have_sim, found)))
    except Failed as error:
        print(f"gpio-test: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
