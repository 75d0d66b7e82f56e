"""`evse-agent passwd`, `token` and `audit`: with and without a running agent."""

import asyncio
import re
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.charging.facts import VendorActionRun
from agent.cli import main
from agent.exit_codes import ExitCode
from agent.web import passwords
from agent.web.passwords import FILE_NAME, AccessFile, Cost
from agent.web.roles import Role
from agent.web.server import LocalApi
from tests.test_config import SMALLEST
from tests.web.conftest import WebBench

GOOD = "correct horse"


@pytest.fixture(autouse=True)
def cheap_hashing(monkeypatch: pytest.MonkeyPatch) -> None:
    keywords = AccessFile.__init__.__kwdefaults__
    monkeypatch.setitem(keywords, "cost", Cost(n=2, r=1, p=1))


def invoke(*arguments: str, typed: str = "") -> Result:
    environment = {"EVSE_AGENT_STATE_DIR": None, "EVSE_AGENT_CONFIG": None}
    return CliRunner().invoke(main, arguments, env=environment, input=typed)


def test_a_password_is_asked_for_twice_and_never_shown(tmp_path: Path) -> None:
    here = ("--state-dir", str(tmp_path))
    result = invoke("passwd", *here, typed=f"{GOOD}\nmistyped\n{GOOD}\n{GOOD}\n")
    assert result.exit_code == ExitCode.OK
    assert result.output.endswith("The password of installer is set.\n")
    assert GOOD not in result.output
    assert AccessFile(tmp_path).read().role_of(GOOD) is Role.INSTALLER
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    result = invoke("passwd", "--role", "viewer", "--stdin", *here, typed="just looking\n")
    assert result.output == "The password of viewer is set.\n"
    result = invoke("passwd", "--role", "viewer", "--remove", *here)
    assert result.output == "The password of viewer is removed.\n"
    result = invoke("passwd", "--role", "viewer", "--remove", *here)
    assert result.output == "viewer has no password.\n"
    result = invoke("passwd", "--remove", *here)
    assert "No password is set any more: addresses beyond this machine are closed." in result.output


@pytest.mark.parametrize(
    ("arguments", "typed", "said"),
    [
        (("passwd", "--stdin"), "short\n", "a password has at least 8 characters"),
        (("token", "create", "two words"), "", "a name has 1 to 40"),
        (("token", "revoke", "nobody"), "", "there is no token nobody"),
    ],
)
def test_what_cannot_be_says_why_and_changes_nothing(
    tmp_path: Path, arguments: tuple[str, ...], typed: str, said: str
) -> None:
    result = invoke(*arguments, "--state-dir", str(tmp_path), typed=typed)
    assert result.exit_code == ExitCode.FAILED
    assert said in result.output
    assert list(tmp_path.iterdir()) == []


def test_a_token_is_printed_once_and_listed_without_it(tmp_path: Path) -> None:
    here = ("--state-dir", str(tmp_path))
    result = invoke("token", "create", "grafana", "--role", "viewer", *here)
    token = result.stdout.strip()
    assert re.fullmatch(r"evse_[\w-]{43}", token)
    assert "of use once a password is set" in result.stderr
    invoke("token", "create", "visit", "--days", "7", *here)
    found = AccessFile(tmp_path).read().find_token(token, datetime.now(UTC))
    assert found is not None
    assert found.role is Role.VIEWER
    listed = invoke("token", "list", *here).output
    assert [line.split()[:2] for line in listed.splitlines()] == [
        ["Name", "Role"],
        ["grafana", "viewer"],
        ["visit", "installer"],
    ]
    assert token not in listed
    assert "for ever" in listed
    assert invoke("token", "revoke", "grafana", *here).output == "The token grafana is revoked.\n"
    assert "grafana" not in invoke("token", "list", *here).output


def test_the_state_directory_is_that_of_the_configuration(tmp_path: Path) -> None:
    config, state = tmp_path / "agent.toml", tmp_path / "state"
    config.write_text(SMALLEST + f'[agent]\nstate_dir = "{state}"\n')
    result = invoke("passwd", "--stdin", "--config", str(config), typed=f"{GOOD}\n")
    assert (result.exit_code, "there is no state directory" in result.output) == (ExitCode.FAILED, True)
    state.mkdir()
    assert invoke("passwd", "--stdin", "--config", str(config), typed=f"{GOOD}\n").exit_code == ExitCode.OK
    assert (state / FILE_NAME).exists()
    config.write_text("[")
    assert invoke("passwd", "--stdin", "--config", str(config)).exit_code == ExitCode.BAD_CONFIG


def test_a_disk_that_fails_is_an_error_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(passwords.os, "fsync", fail)
    result = invoke("passwd", "--stdin", "--state-dir", str(tmp_path), typed=f"{GOOD}\n")
    assert result.exit_code == ExitCode.FAILED
    assert result.output == f"Error: {tmp_path}: No space left on device\n"


async def test_the_audit_is_shown_oldest_first(tmp_path: Path) -> None:
    bench = WebBench(tmp_path)
    at = datetime(2026, 1, 1, tzinfo=UTC)

    async def latest(limit: int) -> list[VendorActionRun]:
        assert limit == 2
        return [
            VendorActionRun(at, "viewer session:a1b2c3 192.0.2.7", "Stop", 1, "refused: no\x1b[2J", ""),
            VendorActionRun(at, "nobody none 192.0.2.7", "Log in", 0, "wrong password", "as viewer"),
        ]

    api = LocalApi(bench.ports(audit=latest), bench.socket_path)
    await api.start()
    result = await asyncio.to_thread(invoke, "audit", "--limit", "2", "--state-dir", str(tmp_path))
    assert result.output.splitlines() == [
        "2026-01-01T00:00:00Z nobody none 192.0.2.7: Log in (as viewer): wrong password",
        "2026-01-01T00:00:00Z viewer session:a1b2c3 192.0.2.7: Stop EVSE 1: refused: no\\x1b[2J",
    ]
    await api.close()
    bench.world.close()


def test_check_config_looks_at_the_certificate_of_the_page(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    web = f'[web]\ncertificate_file = "{tmp_path}/web.pem"\nkey_file = "{tmp_path}/web.key"\n'
    config.write_text(SMALLEST + web)
    result = invoke("check-config", str(config))
    assert result.exit_code == ExitCode.BAD_CONFIG
    assert f"web.certificate_file: {tmp_path}/web.pem: No such file or directory" in result.output
