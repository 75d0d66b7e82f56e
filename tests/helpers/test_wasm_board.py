"""npm runs again when the locked packages are others than the installed ones, and not otherwise."""

import json
from pathlib import Path

import pytest

from tests.helpers import wasm_board


def _lock(path: Path, integrity: str) -> Path:
    packages = {"": {"name": "wasm-board"}, "node_modules/one": {"version": "1", "integrity": integrity}}
    path.write_text(json.dumps({"packages": packages}))
    return path


@pytest.mark.parametrize(("installed", "is_installed"), [("a", True), ("b", False), (None, False)])
def test_only_the_locked_packages_count_as_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: str | None, is_installed: bool
) -> None:
    note = tmp_path / "installed.json"
    monkeypatch.setattr(wasm_board, "LOCK", _lock(tmp_path / "lock.json", "a"))
    monkeypatch.setattr(wasm_board, "INSTALLED_LOCK", _lock(note, installed) if installed else note)
    assert wasm_board._is_installed() is is_installed
