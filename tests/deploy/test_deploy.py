"""deploy.sh over SSH against a machine of its own with a real systemd: install, update, roll back, repair, remove."""

import json
import os
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.conftest import CONFIG, REPOSITORY, Desk, Installed
from tests.helpers.charger import Charger

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("deploy")]

DIES = {
    "agent/app.py": (REPOSITORY / "agent/app.py").read_text()
    + "\n\ndef run(config: Config) -> int:\n    sys.exit('it dies')\n"
}
LEFT_BEHIND = "find /var/tmp -name 'evse-agent-deploy.*'"
EVERYTHING = (
    "systemctl show -p MainPID,ExecMainStartTimestamp evse-agent; "
    "find /opt /etc -newer /etc/charger -printf '%p %T@\\n' | sort"
)
INSTALLED_FILES = (
    "/opt/evse-agent /usr/local/bin/evse-agent /etc/systemd/system/evse-agent.service"
    " /etc/udev/rules.d/60-evse-agent.rules /etc/systemd/journald.conf.d/50-evse-agent.conf"
)
QUICK_WATCHDOG = "[Service]\\nWatchdogSec=2\\nTimeoutAbortSec=1\\nRestartSec=0\\n"
DOES_NOT_LOAD = {"agent/supervisor.py": "raise RuntimeError('broken')\n"}


def status(charger: Charger) -> Any:
    return json.loads(charger.ask("evse-agent status --json"))


def runs(charger: Charger) -> str:
    """The release that runs, by its process."""
    pid = charger.ask("systemctl show -p MainPID --value evse-agent")
    release = charger.ask(f"tr '\\0' '\\n' </proc/{pid}/environ | sed -n 's/^PYTHONPATH=//p'")
    assert charger.ask("systemctl is-active evse-agent") == "active"
    return Path(release).name


def test_a_dry_run_tells_the_plan_and_changes_nothing(installed: Installed) -> None:
    assert installed.dry_run.code == 0, installed.dry_run
    assert "unpack release" in installed.dry_run.out
    assert "make the user evse-agent" in installed.dry_run.out
    assert installed.layer_after_dry_run == installed.layer_before


def test_the_simulated_machine_leaves_the_devices_of_this_one_alone(shared_charger: Charger) -> None:
    """Its systemd takes a console for itself; what others need of this machine stays as it is."""
    assert shared_charger.ask("systemctl is-active evse-agent") == "active"
    assert stat.S_IMODE(os.stat(os.devnull).st_mode) == 0o666


def test_a_fresh_machine_becomes_a_supervised_charger(
    installed: Installed, shared_charger: Charger, desk: Desk
) -> None:
    assert "healthy: local API answers, board linked, CSMS says Accepted" in installed.install.out
    assert shared_charger.ask("readlink /opt/evse-agent/current").startswith("releases/")
    assert shared_charger.ask("systemctl is-enabled evse-agent") == "enabled"
    told = shared_charger.ask(
        "systemctl show -p Type,User,WatchdogUSec,ProtectSystem,DevicePolicy,Restart,StatusText evse-agent"
    )
    for line in (
        "Type=notify",
        "User=evse-agent",
        "WatchdogUSec=1min",
        "ProtectSystem=strict",
        "DevicePolicy=closed",
    ):
        assert line in told.splitlines()
    assert "StatusText=CSMS" in told
    exposure = shared_charger.ask("systemd-analyze security evse-agent --no-pager | tail -n 1")
    assert float(exposure.split(":")[1].split()[0]) < 2.0, exposure
    modes = shared_charger.ask(
        "stat -c '%U:%G %a %n' /etc/evse-agent/config.toml /var/lib/evse-agent /opt/evse-agent/venvs /opt/evse-agent"
    )
    assert modes.splitlines() == [
        "root:evse-agent 640 /etc/evse-agent/config.toml",
        "evse-agent:evse-agent 750 /var/lib/evse-agent",
        "root:root 755 /opt/evse-agent/venvs",
        "root:evse-agent 1775 /opt/evse-agent",
    ]
    assert shared_charger.ask("id -nG evse-agent").split() == ["evse-agent", "dialout"]
    assert shared_charger.ask(LEFT_BEHIND) == ""
    assert status(shared_charger)["registration"] == "Accepted"
    again = desk.deploy(shared_charger, "status")
    assert again.code == 0
    assert "registration Accepted" in again.out


def test_the_second_run_changes_nothing(shared_charger: Charger, desk: Desk) -> None:
    before = shared_charger.ask(EVERYTHING)
    ended = desk.deploy(shared_charger, "--config", str(desk.config))
    assert (ended.code, "Nothing to do" in ended.out) == (0, True), ended
    assert shared_charger.ask(EVERYTHING) == before


def test_an_upgrade_keeps_state_and_can_be_taken_back(charger: Charger, desk: Desk) -> None:
    first = runs(charger)
    inode = charger.ask("stat -c %i /var/lib/evse-agent/agent.db")
    ended = desk.deploy(charger, source=desk.release("7.0.0"))
    assert ended.code == 0, ended
    assert "fetching wheels" not in ended.err
    assert (runs(charger), status(charger)["station"]["agent_version"]) == ("7.0.0", "7.0.0")
    assert charger.ask("basename $(readlink /opt/evse-agent/previous)") == first
    assert charger.ask("ls -A /opt/evse-agent") == "current\nlaunch\nprevious\nreleases\nvenv\nvenvs"
    assert charger.ask("stat -c %i /var/lib/evse-agent/agent.db") == inode
    ended = desk.deploy(charger, "rollback")
    assert ended.code == 0, ended
    assert runs(charger) == first


def test_a_release_that_dies_is_rolled_back_by_itself(shared_charger: Charger, desk: Desk) -> None:
    first = runs(shared_charger)
    ended = desk.deploy(shared_charger, source=desk.release("7.1.0", DIES))
    assert ended.code == 20, ended
    assert "rolled back: release" in ended.err
    assert "it dies" in ended.err
    assert runs(shared_charger) == first
    assert shared_charger.ask("head -n 1 /opt/evse-agent/failed") == "7.1.0"
    assert status(shared_charger)["registration"] == "Accepted"


def test_a_release_that_does_not_load_is_never_switched_to(shared_charger: Charger, desk: Desk) -> None:
    first, pid = runs(shared_charger), shared_charger.ask("systemctl show -p MainPID evse-agent")
    ended = desk.deploy(shared_charger, source=desk.release("7.2.0", DOES_NOT_LOAD))
    assert ended.code == 1, ended
    assert "cannot be loaded here: RuntimeError: broken" in ended.err
    ended = desk.deploy(shared_charger)
    assert "Nothing to do" in ended.out, ended
    assert (runs(shared_charger), shared_charger.ask("systemctl show -p MainPID evse-agent")) == (first, pid)


def test_a_configuration_that_leads_nowhere_is_taken_back(
    charger: Charger, desk: Desk, tmp_path: Path
) -> None:
    lost = tmp_path / "lost.toml"
    lost.write_text(CONFIG.replace(":9000", ":9001"))
    ended = desk.deploy(charger, "--config", str(lost), "--wait", "3")
    assert ended.code == 20, ended
    assert "the CSMS is not reached at ws://127.0.0.1:9001/ocpp/CP001" in ended.err
    assert ":9000" in charger.ask("grep url /etc/evse-agent/config.toml")
    lost.write_text(CONFIG + "nonsense = 1\n")
    ended = desk.deploy(charger, "--config", str(lost))
    assert ended.code == 1, ended
    assert "nonsense" in ended.err
    ended = desk.deploy(charger, "--config", str(lost.with_name("missing.toml")))
    assert (ended.code, "cannot read" in ended.err) == (1, True)
    lost.write_text(CONFIG.replace(":9000", ":9001"))
    ended = desk.deploy(charger, "--config", str(lost), "--offline")
    assert ended.code == 0, ended
    assert "no CSMS wanted" in ended.out


@pytest.mark.parametrize(
    ("word", "plan"), [("is unpacked", "switch from"), ("starts", "finish a deploy that was interrupted")]
)
def test_after_a_power_cut_in_the_middle_a_second_run_repairs_it(
    charger: Charger, desk: Desk, word: str, plan: str
) -> None:
    source = desk.release(f"7.3.{len(word)}")
    with subprocess.Popen(
        desk.command(charger, source=source),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        env=desk.environment(),
    ) as deploy:
        assert deploy.stdout is not None
        for line in deploy.stdout:
            if word in line:
                break
        deploy.kill()  # first, so that it cannot tidy up behind itself
        charger.cut_power()
    charger.start()
    charger.start_csms()
    assert charger.ask(LEFT_BEHIND) != ""  # what the cut left behind
    ended = desk.deploy(charger, source=source)
    assert ended.code == 0, ended
    assert plan in ended.out
    assert runs(charger) == source.name.removeprefix("source-")
    assert charger.ask("ls -A /opt/evse-agent") == "current\nlaunch\nprevious\nreleases\nvenv\nvenvs"
    assert charger.ask(LEFT_BEHIND) == ""
    assert desk.deploy(charger, source=source).out.endswith("runs.\n")


def test_who_charges_is_not_interrupted(charger: Charger, desk: Desk) -> None:
    charger.ask("evse-agent sim plug && evse-agent sim tap TAG1")
    until = time.monotonic() + 20
    while status(charger)["evses"][0]["transaction"] is None and time.monotonic() < until:
        time.sleep(0.2)
    assert status(charger)["evses"][0]["transaction"] is not None
    first = runs(charger)
    source = desk.release("7.4.0")
    ended = desk.deploy(charger, source=source)
    assert ended.code == 7, ended
    assert "EVSE 1 charges" in ended.err
    assert runs(charger) == first
    ended = desk.deploy(charger, "--while-charging", source=source)
    assert ended.code == 0, ended
    assert runs(charger) == "7.4.0"


def test_an_agent_that_hangs_is_restarted_by_the_watchdog(charger: Charger) -> None:
    drop_in = "/etc/systemd/system/evse-agent.service.d"
    charger.ask(
        f"mkdir -p {drop_in} && printf '{QUICK_WATCHDOG}' >{drop_in}/quick.conf && "
        "systemctl daemon-reload && systemctl restart evse-agent"
    )
    pid = charger.ask("systemctl show -p MainPID --value evse-agent")
    time.sleep(3)
    assert charger.ask("systemctl show -p MainPID --value evse-agent") == pid  # it is fed
    charger.ask(f"kill -STOP {pid}")
    until = time.monotonic() + 20
    while time.monotonic() < until:
        now = charger.ask(
            "systemctl show -p MainPID --value evse-agent; systemctl is-active evse-agent || true"
        ).split()
        if now[0] not in (pid, "0") and now[1] == "active":
            break
        time.sleep(0.2)
    assert charger.ask("systemctl show -p NRestarts --value evse-agent") == "1"
    assert status(charger)["station"]["identity"] == "CP001"


def test_uninstall_keeps_configuration_and_state_unless_purged(charger: Charger, desk: Desk) -> None:
    ended = desk.deploy(charger, "uninstall")
    assert ended.code == 0, ended
    assert charger.ssh(f"find {INSTALLED_FILES}").stdout == ""
    assert charger.ask("ls /etc/evse-agent/config.toml /var/lib/evse-agent/agent.db")
    assert charger.ssh("systemctl cat evse-agent").returncode != 0
    ended = desk.deploy(charger)
    assert ended.code == 0, ended  # with what was kept, no --config is needed
    ended = desk.deploy(charger, "uninstall", "--purge")
    assert ended.code == 0, ended
    assert charger.ssh("find /etc/evse-agent /var/lib/evse-agent").stdout == ""
    assert charger.ssh("id evse-agent").returncode != 0


def test_a_machine_that_is_not_fit_is_refused_before_anything_is_changed(
    shared_charger: Charger, desk: Desk
) -> None:
    shared_charger.ask("cp -p /usr/lib/os-release /run/os-release.kept")
    shared_charger.ask(
        "sed -i 's/^ID=.*/ID=ubuntu/; s/^PRETTY_NAME=.*/PRETTY_NAME=Ubuntu/' /usr/lib/os-release"
    )
    ended = desk.deploy(shared_charger, source=desk.release("7.5.0"))
    assert ended.code == 1, ended
    assert "it runs Ubuntu; needed is Raspberry Pi OS or Debian, 12 or 13" in ended.err
    shared_charger.ask("cp -p /run/os-release.kept /usr/lib/os-release")
    assert "7.5.0" not in shared_charger.ask("ls /opt/evse-agent/releases")
