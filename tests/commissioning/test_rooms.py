"""The doctor's rooms one by one: each thing that may be wrong, and that the advice names what to do."""

import os
import pty
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent.charging.network import NetworkProfile
from agent.cli import main
from agent.commissioning.clock import check_clock
from agent.commissioning.config_file import check_config_file
from agent.commissioning.findings import Finding, Verdict, failure, ok
from agent.commissioning.machine import Disk, Machine, User, is_clock_synchronized, run_command
from agent.commissioning.ports import check_ports
from agent.commissioning.service import check_service
from agent.commissioning.store import StoreCheck, check_store
from agent.config import Config, parse
from agent.store.db import Database
from agent.store.inspection import holder
from agent.store.journal import SqlJournal
from agent.store.networks import SqlNetworks
from tests.store.example_facts import BEGIN, started

OTHER = User("evse", 4711, frozenset({4712}))
ROOT = User("root", 0, frozenset({0}))


def the(findings: Any) -> Finding:
    """The only one."""
    (found,) = findings
    assert isinstance(found, Finding)
    return found


def config_in(folder: Path, hal: str = "", csms: str = "") -> Config:
    return parse(
        '[station]\nidentity = "CP001"\nvendor = "V"\nmodel = "M"\n[csms]\nurl = "ws://127.0.0.1:9/ocpp"\n'
        f'{csms}[agent]\nstate_dir = "{folder}/state"\n{hal}'
    )


def test_advice_goes_with_what_is_not_fine_and_only_with_that() -> None:
    with pytest.raises(ValueError, match="advice"):
        Finding("board", Verdict.FAILURE, "broken")
    with pytest.raises(ValueError, match="advice"):
        Finding("board", Verdict.OK, "fine", "do something")
    assert (ok("a", "b").advice, failure("a", "b", "c").verdict) == ("", Verdict.FAILURE)


# --- configuration ----------------------------------------------------------------------------------------

GOOD = '[station]\nidentity = "CP001"\nvendor = "V"\nmodel = "M"\n[csms]\nurl = "ws://127.0.0.1:9/ocpp"\n'


def test_no_configuration_names_init(tmp_path: Path) -> None:
    config, found = check_config_file(tmp_path / "c.toml", ROOT)
    assert config is None
    assert the(found).advice == f"write one: evse-agent init {tmp_path}/c.toml"


@contextmanager
def nobody() -> Iterator[None]:
    """As a user without rights, if the tests run as root."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_configuration_that_you_may_not_read_names_sudo(tmp_path: Path) -> None:
    closed = tmp_path / "etc"
    closed.mkdir(mode=0o700)
    (closed / "c.toml").write_text(GOOD)
    with nobody():
        config, found = check_config_file(closed / "c.toml", OTHER)
        placed = CliRunner().invoke(main, ["init", str(closed / "c.toml")])
    assert config is None
    assert "sudo" in the(found).advice
    assert (placed.exit_code, "use sudo" in placed.output) == (1, True)


def test_each_problem_of_the_configuration_has_its_line(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(GOOD + "nonsense = 1\n[settings]\nHeartbeatInterval = -1\n")
    config, found = check_config_file(file, ROOT)
    assert config is None
    assert [each.advice.split(" of ")[0] for each in found] == ["correct line 7", "correct line 9"]
    file.write_text(GOOD + '[[hal.meters]]\nevse = 1\nmodel = "abacus"\nport = "/dev/null"\n')
    assert "abacus" in the(check_config_file(file, ROOT)[1]).found


def test_a_good_configuration_says_who_and_where(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(GOOD)
    config, found = check_config_file(file, ROOT)
    assert config is not None
    assert "CP001 at ws://127.0.0.1:9/ocpp, simulated hardware" in the(found).found


def test_a_password_that_everybody_may_read_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(GOOD + 'security_profile = 1\npassword = "0123456789abcdef"\n')
    file.chmod(0o644)
    fine, found = check_config_file(file, ROOT)[1]
    assert (found.verdict, found.advice) == (Verdict.WARNING, f"chmod o-rwx {file}")
    assert "0123456789abcdef" not in fine.found + found.found
    file.chmod(0o640)
    assert the(check_config_file(file, ROOT)[1]).verdict is Verdict.OK


def test_a_named_file_that_you_may_not_read_names_sudo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "c.toml"
    file.write_text(GOOD.replace("[csms]", '[csms]\npassword_file = "/no/such/file"\nsecurity_profile = 1'))
    for user_id, is_sudo_named in ((0, False), (1000, True)):
        monkeypatch.setattr("agent.commissioning.config_file.os.geteuid", lambda user_id=user_id: user_id)
        found = check_config_file(file, OTHER)[1][-1]
        assert "csms.password_file: cannot be read" in found.found
        assert ("sudo" in found.advice) is is_sudo_named


def test_a_file_that_the_agents_user_may_not_read_is_a_failure(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text(GOOD)
    file.chmod(0o600)
    found = check_config_file(file, OTHER)[1][-1]
    assert found.verdict is Verdict.FAILURE
    assert "evse may not read" in found.found
    assert found.advice == f"sudo chgrp $(id -gn evse) {file} && sudo chmod 640 {file}", "never a shared one"


# --- state directory --------------------------------------------------------------------------------------


def look_at_store(folder: Path, machine: Machine, user: User = ROOT, **how: Any) -> StoreCheck:
    return check_store(config_in(folder), machine, user, None, is_running=how.get("is_running", False))


def test_a_state_directory_that_the_agent_can_make_is_fine(tmp_path: Path, machine: Machine) -> None:
    assert "the first start makes it" in the(look_at_store(tmp_path, machine).findings).found
    found = the(look_at_store(tmp_path, machine, OTHER).findings)
    assert (found.verdict, found.advice) == (
        Verdict.FAILURE,
        f"sudo install -d -m 750 -o evse {tmp_path}/state",
    )


async def test_a_whole_database_tells_what_waits_and_is_left_as_it_was(
    tmp_path: Path, machine: Machine
) -> None:
    database = Database.open(tmp_path / "state/agent.db")
    await SqlJournal(database).record(started())
    await database.commit(lambda sql: sql.execute("INSERT INTO settings VALUES ('a', 'b')") and None)
    database.close()
    before = {each.name: each.read_bytes() for each in (tmp_path / "state").iterdir()}
    made_at = (tmp_path / "state").stat().st_mtime_ns
    seen = look_at_store(tmp_path, replace(machine, now=lambda: BEGIN + timedelta(hours=1)))
    assert (tmp_path / "state").stat().st_mtime_ns == made_at, "no file was made for a moment, either"
    assert seen.findings[-1].found.endswith("; 1 message waits to be sent")
    assert seen.sight is not None
    assert (seen.sight.settings["a"], seen.sight.oldest_at) == ("b", BEGIN)
    assert {each.name: each.read_bytes() for each in (tmp_path / "state").iterdir()} == before


async def test_a_database_whose_log_was_not_moved_yet_is_read_with_it_and_left_as_it_was(
    tmp_path: Path, machine: Machine
) -> None:
    database = Database.open(tmp_path / "run/agent.db")
    await SqlJournal(database).record(started())
    (tmp_path / "state").mkdir()
    for name in ("agent.db", "agent.db-wal"):  # as a power cut leaves them
        (tmp_path / "state" / name).write_bytes((tmp_path / "run" / name).read_bytes())
    database.close()
    before = {each.name: each.read_bytes() for each in (tmp_path / "state").iterdir()}
    assert len(before["agent.db-wal"]) > 0
    seen = look_at_store(tmp_path, machine)
    assert seen.sight is not None
    assert seen.sight.outbox_depth == 1
    assert {each.name: each.read_bytes() for each in (tmp_path / "state").iterdir()} == before


async def test_messages_that_wait_for_long_are_a_warning(tmp_path: Path, machine: Machine) -> None:
    database = Database.open(tmp_path / "state/agent.db")
    await SqlJournal(database).record(started())
    database.close()
    found = look_at_store(tmp_path, replace(machine, now=lambda: BEGIN + timedelta(hours=13))).findings[-1]
    assert (found.verdict, "why the CSMS is not reached" in found.advice) == (Verdict.WARNING, True)


def test_a_damaged_database_is_to_be_moved_away(tmp_path: Path, machine: Machine) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state/agent.db").write_bytes(b"SQLite format 3\0" + os.urandom(8192))
    found = look_at_store(tmp_path, machine).findings[-1]
    assert found.verdict is Verdict.FAILURE
    assert f"mv {tmp_path}/state/agent.db" in found.advice


def test_a_database_of_another_program_or_of_a_newer_release(tmp_path: Path, machine: Machine) -> None:
    path = tmp_path / "state/agent.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("CREATE TABLE something (a)")
        sql.commit()
    assert "another program" in look_at_store(tmp_path, machine).findings[-1].found
    path.unlink()
    Database.open(path).close()
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("PRAGMA user_version = 9999")
    found = look_at_store(tmp_path, machine).findings[-1]
    assert (found.verdict, "newer release" in found.advice) == (Verdict.FAILURE, True)


def test_a_database_of_a_newer_release_may_look_quite_different(tmp_path: Path, machine: Machine) -> None:
    path = tmp_path / "state/agent.db"
    Database.open(path).close()
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("PRAGMA user_version = 9999")
        sql.execute("DROP TABLE outbox_state")
    assert "newer release" in look_at_store(tmp_path, machine).findings[-1].advice


def test_a_database_without_one_of_its_tables_is_damaged(tmp_path: Path, machine: Machine) -> None:
    path = tmp_path / "state/agent.db"
    Database.open(path).close()
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("DROP TABLE outbox_state")
    found = look_at_store(tmp_path, machine).findings[-1]
    assert (found.verdict, "sudo mv" in found.advice) == (Verdict.FAILURE, True)


def test_a_first_start_that_was_cut_off_is_no_damage(tmp_path: Path, machine: Machine) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state/agent.db").touch()
    check = look_at_store(tmp_path, machine)
    assert (check.findings[-1].verdict, check.sight) == (Verdict.OK, None)
    Database.open(tmp_path / "state/agent.db").close()  # the agent sees it in the same way


def test_a_state_directory_that_is_a_file_is_to_be_moved(tmp_path: Path, machine: Machine) -> None:
    (tmp_path / "state").touch()
    found = the(look_at_store(tmp_path, machine).findings)
    assert (found.verdict, "is no directory" in found.found) == (Verdict.FAILURE, True)


def test_a_database_that_you_may_not_read_names_sudo_and_no_other_trouble_does(
    tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state/agent.db").mkdir(parents=True)
    found = look_at_store(tmp_path, machine).findings[-1]
    assert (found.verdict, "sudo dmesg" in found.advice) == (Verdict.FAILURE, True)

    def refuse(_path: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("agent.commissioning.store.inspect", refuse)
    found = look_at_store(tmp_path, machine).findings[-1]
    assert (found.verdict, found.advice) == (Verdict.FAILURE, "run this command again with sudo")


async def test_network_profiles_of_the_csms_are_seen(tmp_path: Path, machine: Machine) -> None:
    database = Database.open(tmp_path / "state/agent.db")
    await SqlNetworks(database).put(2, NetworkProfile("ws://elsewhere/", 0, 30))
    database.close()
    sight = look_at_store(tmp_path, machine).sight
    assert sight is not None
    assert sight.networks.profiles[2] == NetworkProfile("ws://elsewhere/", 0, 30)


def test_an_agent_that_holds_the_database_and_does_not_answer(tmp_path: Path, machine: Machine) -> None:
    database = Database.open(tmp_path / "state/agent.db")
    check = look_at_store(tmp_path, machine)
    database.close()
    found = check.findings[-1]
    assert check.is_held
    assert f"process {os.getpid()} uses" in found.found
    assert "restart it" in found.advice
    assert holder(tmp_path / "state/agent.db") is None


@pytest.mark.parametrize(
    ("disk", "verdict", "advice"),
    [
        (Disk(10 * 1024 * 1024, is_read_only=False), Verdict.FAILURE, "make room"),
        (Disk(60 * 1024 * 1024, is_read_only=False), Verdict.WARNING, "make room"),
        (Disk(10**10, is_read_only=True), Verdict.FAILURE, "replace the card"),
    ],
)
def test_a_full_or_failing_disk(
    tmp_path: Path, machine: Machine, disk: Disk, verdict: Verdict, advice: str
) -> None:
    (tmp_path / "state").mkdir()
    found = look_at_store(tmp_path, replace(machine, disk_of=lambda _path: disk)).findings[0]
    assert (found.verdict, advice in found.advice) == (verdict, True)


def test_a_state_directory_of_somebody_else(tmp_path: Path, machine: Machine) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    found = look_at_store(tmp_path, machine, OTHER).findings[0]
    assert (found.verdict, found.advice) == (Verdict.FAILURE, f"sudo chown -R evse {tmp_path}/state")


# --- ports ------------------------------------------------------------------------------------------------

METER = '[[hal.meters]]\nevse = 1\nmodel = "sdm630"\nport = "/dev/ttyUSB0"\n'


@pytest.fixture
def terminal(machine: Machine) -> Iterator[Path]:
    """A real tty behind /dev/ttyUSB0 of the machine."""
    ours, theirs = pty.openpty()
    path = machine.path("/dev/ttyUSB0")
    path.symlink_to(os.ttyname(theirs))
    yield path
    os.close(ours)
    os.close(theirs)


def look_at_ports(
    machine: Machine, user: User = ROOT, hal: str = METER, **how: Any
) -> tuple[list[Finding], Any]:
    return check_ports(config_in(Path("/tmp"), hal), machine, user, is_running=how.get("is_running", False))


def test_a_port_that_is_not_there_names_those_that_are(machine: Machine) -> None:
    machine.path("/dev/ttyUSB3").touch()
    found, unusable = look_at_ports(machine)
    assert (the(found).verdict, "there is: /dev/ttyUSB3" in the(found).advice) == (Verdict.FAILURE, True)
    assert unusable == {"/dev/ttyUSB0"}


def test_a_free_port_is_fine(machine: Machine, terminal: Path) -> None:
    found, unusable = look_at_ports(machine)
    assert the(found).found == "/dev/ttyUSB0 is there for meter sdm630, and free"
    assert unusable == set()
    assert "used by the agent" in the(look_at_ports(machine, is_running=True)[0]).found


def test_a_number_that_changes_is_a_warning_with_the_better_name(machine: Machine, terminal: Path) -> None:
    (machine.root / "dev/serial/by-id").mkdir(parents=True)
    (machine.root / "dev/serial/by-id/usb-FTDI_1").symlink_to(os.readlink(terminal))
    found = the(look_at_ports(machine)[0])
    assert found.verdict is Verdict.OK, "another device behind that name"
    terminal.unlink()
    terminal.touch()
    (machine.root / "dev/serial/by-id/usb-FTDI_1").unlink()
    (machine.root / "dev/serial/by-id/usb-FTDI_1").symlink_to("../../ttyUSB0")
    found = the(look_at_ports(machine, is_running=True)[0])
    assert (found.verdict, found.advice) == (
        Verdict.WARNING,
        "write /dev/serial/by-id/usb-FTDI_1 into the configuration",
    )


def test_a_port_of_a_group_that_the_agent_is_not_in(machine: Machine, terminal: Path) -> None:
    os.chmod(terminal, 0o660)
    found, unusable = look_at_ports(machine, OTHER)
    assert "sudo usermod -aG" in found[0].advice
    assert found[0].advice.endswith("restart the agent")
    assert unusable == {"/dev/ttyUSB0"}


def test_a_program_that_holds_the_port_is_named(machine: Machine, terminal: Path) -> None:
    process = machine.path("/proc/812")
    (process / "fd").mkdir(parents=True)
    (process / "comm").write_text("minicom\n")
    (process / "fd/5").symlink_to(os.path.realpath(terminal))
    found = the(look_at_ports(machine)[0])
    assert "minicom (process 812) uses /dev/ttyUSB0" in found.found
    assert "stop that program" in found.advice


def test_the_systems_console_is_to_be_switched_off(machine: Machine, terminal: Path) -> None:
    machine.path("/proc/consoles").write_text(
        f"{os.path.basename(os.path.realpath(terminal))} -W- (E p) 4:1\n"
    )
    assert "raspi-config" in the(look_at_ports(machine)[0]).advice


def test_what_is_no_tty_is_no_port(machine: Machine) -> None:
    machine.path("/dev/ttyUSB0").touch()
    assert "no serial port" in look_at_ports(machine)[0][0].found


def test_modem_manager_is_a_warning_unless_our_rule_keeps_it_away(machine: Machine, terminal: Path) -> None:
    process = machine.path("/proc/77")
    process.mkdir()
    (process / "comm").write_text("ModemManager\n")
    machine.path("/dev/ttyUSB1").touch()
    hal = METER.replace("ttyUSB0", "ttyUSB1")
    found = look_at_ports(machine, hal=hal, is_running=True)[0][-1]
    assert (found.verdict, "disable --now ModemManager" in found.advice) == (Verdict.WARNING, True)
    machine.path("/etc/udev/rules.d/60-evse-agent.rules").touch()
    assert look_at_ports(machine, hal=hal, is_running=True)[0][-1].verdict is Verdict.OK


def test_gpio_chips_have_to_be_there_and_usable(machine: Machine) -> None:
    hal = '[[hal.gpio]]\nname = "fan"\nkind = "output"\nline = "17"\n'
    assert "gpiodetect" in the(look_at_ports(machine, hal=hal)[0]).advice
    chip = machine.path("/dev/gpiochip0")
    chip.touch()
    chip.chmod(0o660)
    assert the(look_at_ports(machine, hal=hal)[0]).verdict is Verdict.OK
    assert "sudo usermod -aG" in the(look_at_ports(machine, OTHER, hal)[0]).advice


def test_a_gpio_chip_by_its_label_is_no_path_that_could_be_missing(machine: Machine) -> None:
    hal = '[[hal.gpio]]\nname = "fan"\nkind = "output"\nline = "17"\nchip = "pinctrl-rp1"\n'
    assert look_at_ports(machine, hal=hal)[0] == []


# --- clock ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "verdict", "said", "advice"),
    [
        ({}, Verdict.OK, "synchronised; battery clock present", ""),
        (
            {"is_clock_synchronized": lambda: False},
            Verdict.WARNING,
            "not synchronised",
            "timedatectl set-ntp true",
        ),
        ({"is_clock_synchronized": lambda: None}, Verdict.OK, "cannot be told", ""),
        (
            {"now": lambda: datetime(1970, 1, 1, tzinfo=UTC)},
            Verdict.FAILURE,
            "never set",
            "timedatectl set-time",
        ),
    ],
)
def test_clocks(
    machine: Machine, changes: Mapping[str, Any], verdict: Verdict, said: str, advice: str
) -> None:
    found = the(check_clock(replace(machine, **changes)))
    assert (found.verdict, said in found.found, advice in found.advice) == (verdict, True, True)


def test_a_missing_battery_clock_is_told(machine: Machine) -> None:
    machine.path("/sys/class/rtc/rtc0").rmdir()
    assert "no battery clock" in the(check_clock(machine)).found


def test_the_kernel_says_whether_its_clock_is_synchronised_or_nothing() -> None:
    assert is_clock_synchronized() in (True, False, None)


# --- service ----------------------------------------------------------------------------------------------

UNIT = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "Result": "success",
    "NRestarts": "0",
    "ExecMainStatus": "0",
    "UnitFileState": "enabled",
}


def look_at_service(machine: Machine, is_running: bool = True, **changes: str) -> list[Finding]:
    shown = "".join(f"{name}={value}\n" for name, value in {**UNIT, **changes}.items())
    return list(check_service(None, replace(machine, run=lambda _words: shown), is_running=is_running))


def test_no_service_is_no_complaint(machine: Machine) -> None:
    assert "not installed" in the(check_service(None, machine, is_running=False)).found
    assert "by hand" in the(check_service(None, machine, is_running=True)).found
    assert the(check_service(None, machine, is_running=None)).found == "not installed as a service"


def test_a_running_service(machine: Machine) -> None:
    assert the(look_at_service(machine)).found == "active (running), 0 restarts"


@pytest.mark.parametrize(
    ("is_running", "changes", "verdict", "advice"),
    [
        (False, {}, Verdict.WARNING, "journalctl -u evse-agent"),
        (True, {"NRestarts": "4"}, Verdict.WARNING, "journalctl -u evse-agent"),
        (True, {"UnitFileState": "disabled"}, Verdict.WARNING, "sudo systemctl enable evse-agent"),
        (False, {"ActiveState": "inactive"}, Verdict.WARNING, "sudo systemctl start evse-agent"),
        (False, {"ActiveState": "failed", "Result": "watchdog"}, Verdict.FAILURE, "journalctl"),
        (
            False,
            {"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "3"},
            Verdict.FAILURE,
            "then: sudo systemctl start evse-agent",
        ),
        (
            False,
            {"ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "5"},
            Verdict.FAILURE,
            "see 'state' above",
        ),
        (
            False,
            {"ActiveState": "failed", "Result": "signal", "ExecMainStatus": "9"},
            Verdict.FAILURE,
            "journalctl",
        ),
    ],
)
def test_services_that_are_not_well(
    machine: Machine, is_running: bool, changes: dict[str, str], verdict: Verdict, advice: str
) -> None:
    found = look_at_service(machine, is_running, **changes)[-1]
    assert (found.verdict, advice in found.advice) == (verdict, True)


def test_a_release_on_trial_and_one_that_was_rolled_back(machine: Machine) -> None:
    root = machine.path("/opt/evse-agent")
    root.mkdir(parents=True)
    (root / "trial").write_text("0.3.0\n0.2.0\n3\n")
    (root / "failed").write_text("0.2.9\nit never got through to the CSMS\n")
    on_trial, failed, _ = check_service(None, machine, is_running=True)
    assert (on_trial.verdict, "0.3.0 is on trial: it goes back to 0.2.0" in on_trial.found) == (
        Verdict.WARNING,
        True,
    )
    assert "0.2.9 was rolled back: it never got through" in failed.found
    assert "deploy or order the update again" in failed.advice


# --- the machine itself -----------------------------------------------------------------------------------


def test_the_user_of_the_agent_is_that_of_the_service(machine: Machine) -> None:
    shown = "LoadState=loaded\nUser=nobody\n"
    assert replace(machine, run=lambda _words: shown).agent_user().name == "nobody"
    assert machine.agent_user().user_id == os.geteuid()
    unknown = replace(machine, run=lambda _words: shown.replace("nobody", "no-such-user"))
    assert unknown.agent_user().user_id == os.geteuid()


@pytest.mark.real_time
def test_commands_that_fail_or_are_not_there_say_nothing() -> None:
    assert run_command(["/no/such/program"]) is None
    assert run_command(["false"]) is None
    assert run_command(["echo", "yes"]) == "yes\n"
