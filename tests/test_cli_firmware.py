"""`evse-agent firmware`, from the build machine to the prepared station."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli import main
from agent.exit_codes import ExitCode
from tests.helpers.firmware import Manufacturer, make_release


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["firmware", *map(str, arguments)])


@pytest.fixture
def maker(tmp_path: Path) -> Manufacturer:
    made = Manufacturer()
    (tmp_path / "key.pem").write_bytes(made.key_text())
    (tmp_path / "signer.pem").write_text(made.signer_text())
    (tmp_path / "root.pem").write_text(made.root_text)
    return made


def test_from_source_to_a_station_that_can_be_started(tmp_path: Path, maker: Manufacturer) -> None:
    make_release(tmp_path, "1.2")  # leaves its source behind
    file = tmp_path / "fw.zip"
    packed = invoke("pack", tmp_path / "source-1.2", file, "--model", "Wallbox 22", "--machine", "any")
    assert packed.exit_code == ExitCode.OK, packed.output
    assert "release 1.2, 6 files" in packed.output
    signature = invoke("sign", file, "--key", tmp_path / "key.pem").output.strip()
    checks = [
        "--certificate",
        tmp_path / "signer.pem",
        "--signature",
        signature,
        "--root",
        tmp_path / "root.pem",
    ]
    shown = invoke("inspect", file, *checks)
    assert shown.exit_code == ExitCode.OK, shown.output
    assert "version   1.2" in shown.output
    assert shown.output.endswith("signer    issued by this root\nsignature good\n")
    prepared = invoke("prepare", tmp_path / "root", file, "--model", "Wallbox 22")
    assert prepared.exit_code == ExitCode.OK, prepared.output
    assert os.readlink(tmp_path / "root/current") == "releases/1.2"


def test_a_wrong_signature_is_said(tmp_path: Path, maker: Manufacturer) -> None:
    file = make_release(tmp_path, "1.2")
    signature = maker.sign(make_release(tmp_path, "1.3"))
    shown = invoke("inspect", file, "--certificate", tmp_path / "signer.pem", "--signature", signature)
    assert shown.exit_code == ExitCode.FAILED
    assert "the signature is not that of the file" in shown.output
    assert invoke("inspect", file, "--signature", signature).exit_code == ExitCode.USAGE


@pytest.mark.parametrize("verb", ["pack", "sign", "inspect", "prepare"])
def test_what_cannot_be_used_is_said_in_one_line(tmp_path: Path, verb: str) -> None:
    nonsense = tmp_path / "x"
    nonsense.write_text("nonsense")
    arguments = {
        "pack": [tmp_path, tmp_path / "out.zip"],
        "sign": [nonsense, "--key", nonsense],
        "inspect": [nonsense],
        "prepare": [tmp_path / "root", nonsense],
    }
    result = invoke(verb, *arguments[verb])
    assert result.exit_code == ExitCode.FAILED
    assert result.output.startswith("Error: ")
    assert not (tmp_path / "root/current").exists()
