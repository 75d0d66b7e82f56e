"""What `make gpio-test` does before the machine boots: says what is missing, and packs the first root file system."""

import lzma
import os
from pathlib import Path

import pytest

from tests.gpio_sim import __main__ as runner
from tests.gpio_sim.cpio import archive


def kernel(folder: Path, dependencies: str = "") -> runner.Kernel:
    (folder / "modules.dep").write_text(dependencies)
    return runner.Kernel("6.1.0-9-amd64", folder / "vmlinuz", folder)


def test_a_bare_computer_is_told_everything_that_it_lacks_in_one_line_each(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(runner, "kernels", list)
    monkeypatch.setattr(runner.shutil, "which", lambda name: None)
    monkeypatch.setattr(runner.platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(runner.importlib.util, "find_spec", lambda name: None)
    assert runner.main() == runner.MISSING
    said = capsys.readouterr().err.splitlines()[1:]
    assert len(said) == 7
    assert sum("apt-get install" in line for line in said) == 5


def test_a_kernel_without_its_source_is_told_which_packages_bring_it(tmp_path: Path) -> None:
    assert any("linux-headers-amd64" in line for line in runner.missing([kernel(tmp_path)]))


def test_a_kernel_that_has_gpio_sim_needs_no_source(tmp_path: Path) -> None:
    folder = tmp_path / "kernel/drivers/gpio"
    folder.mkdir(parents=True)
    (folder / "gpio-sim.ko.xz").write_bytes(lzma.compress(b"the module"))
    with_sim = kernel(tmp_path)
    assert not any("headers" in line for line in runner.missing([with_sim]))
    assert runner.sim_module(with_sim) == b"the module"


def test_modules_are_loaded_after_what_they_need(tmp_path: Path) -> None:
    dependencies = """\
kernel/fs/9p/9p.ko: kernel/net/9p/9pnet.ko kernel/fs/fscache.ko kernel/fs/netfs.ko
kernel/net/9p/9pnet_virtio.ko: kernel/net/9p/9pnet.ko kernel/drivers/virtio.ko
kernel/drivers/virtio_pci.ko: kernel/drivers/virtio.ko
"""
    paths = runner._with_dependencies(kernel(tmp_path, dependencies))
    assert [path.stem for path in paths] == [
        *("virtio", "virtio_pci", "9pnet", "9pnet_virtio", "netfs", "fscache", "9p")
    ]


def unpacked(packed: bytes) -> dict[str, tuple[int, bytes]]:
    """What is in a cpio archive: mode and content by name."""
    found = {}
    at = 0
    while True:
        assert packed[at : at + 6] == b"070701"
        fields = [int(packed[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        name = packed[at + 110 : at + 110 + fields[11] - 1].decode()
        begin = (at + 110 + fields[11] + 3) // 4 * 4
        if name == "TRAILER!!!":
            return found
        found[name] = (fields[1], packed[begin : begin + fields[6]])
        at = (begin + fields[6] + 3) // 4 * 4


def test_an_archive_holds_each_file_after_its_folders() -> None:
    files = {"init": b"#!/bin/sh\n", "modules/01": os.urandom(1001), "a/b/c": b""}
    found = unpacked(archive(files))
    assert list(found) == ["a", "a/b", "a/b/c", "init", "modules", "modules/01"]
    assert {name: content for name, (mode, content) in found.items() if mode == 0o100755} == files
    assert {mode for name, (mode, _) in found.items() if name not in files} == {0o040755}
