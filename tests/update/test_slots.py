"""The slot installer on a real disk: what runs stays untouched until the switch, every step may be done twice."""

import os
import zipfile
from pathlib import Path

import pytest

from agent.errors import InstallError, ReleaseBroken
from agent.update.slots import STARTS_ON_TRIAL, SlotInstaller, SlotRules, prepare
from tests.helpers.firmware import HERE, MOST_BYTES, make_release, make_root

RULES = SlotRules(MOST_BYTES)


def installer(root: Path, rules: SlotRules = RULES) -> SlotInstaller:
    """As it is in a process that was started from `current`."""
    return SlotInstaller(root, (root / "current").resolve(), HERE, rules)


def tree(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_preparing_makes_the_first_release_current(tmp_path: Path) -> None:
    root = make_root(tmp_path)
    assert os.readlink(root / "current") == "releases/1.0"
    assert os.access(root / "launch", os.X_OK)
    assert installer(root).is_running("1.0")
    with pytest.raises(InstallError, match="holds releases already"):
        prepare(root, make_release(tmp_path, "1.1"), HERE, MOST_BYTES)


async def test_an_update_from_staging_to_confirmation(tmp_path: Path) -> None:
    root = make_root(tmp_path)
    old = installer(root)
    before = tree(root / "releases/1.0")
    assert await old.stage(make_release(tmp_path, "1.1")) == "1.1"
    assert os.readlink(root / "current") == "releases/1.0"
    await old.verify("1.1")
    await old.activate("1.1")
    assert os.readlink(root / "current") == "releases/1.1"
    assert os.readlink(root / "previous") == "releases/1.0"
    assert (root / "trial").read_text().splitlines() == ["1.1", "1.0", str(STARTS_ON_TRIAL)]
    assert tree(root / "releases/1.0") == before
    new = installer(root)
    assert new.is_running("1.1")
    assert not old.is_running("1.1")
    await new.confirm("1.1")
    assert not (root / "trial").exists()
    assert (root / "releases/1.0").is_dir(), "the one before is kept"


async def test_only_the_release_before_is_kept(tmp_path: Path) -> None:
    root = make_root(tmp_path)
    for version in ("1.1", "1.2"):
        running = installer(root)
        await running.stage(make_release(tmp_path, version))
        await running.activate(version)
        await installer(root).confirm(version)
    assert sorted(path.name for path in (root / "releases").iterdir()) == ["1.1", "1.2"]


@pytest.mark.req("R16-298")
async def test_a_file_that_breaks_in_the_middle_leaves_nothing_on_the_disk(tmp_path: Path) -> None:
    root = make_root(tmp_path)
    file = make_release(tmp_path, "1.1")
    broken = tmp_path / "broken.zip"
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(broken, "w") as target:
        for entry in source.infolist():
            content = source.read(entry)
            target.writestr(entry, content[::-1] if entry.filename == "agent/version.py" else content)
    with pytest.raises(ReleaseBroken, match=r"version\.py"):
        await installer(root).stage(broken)
    assert [path.name for path in (root / "releases").iterdir()] == ["1.0"]


@pytest.mark.req("R16-298")
async def test_a_release_that_does_not_work_is_not_kept(tmp_path: Path) -> None:
    root = make_root(tmp_path)
    made = installer(root)
    await made.stage(make_release(tmp_path, "1.1", {"agent/app.py": "import no_such_module"}))
    with pytest.raises(ReleaseBroken):
        await made.verify("1.1")
    assert [path.name for path in (root / "releases").iterdir()] == ["1.0"]


async def test_every_step_may_be_done_twice(tmp_path: Path) -> None:
    root = make_root(tmp_path)
    file = make_release(tmp_path, "1.1")
    old = installer(root)
    for _ in range(2):
        await old.stage(file)
    for _ in range(2):
        await old.verify("1.1")
    for _ in range(2):
        await old.activate("1.1")
    new = installer(root)
    for _ in range(2):
        await new.roll_back("1.1", "no answer")
    assert os.readlink(root / "current") == "releases/1.0"
    assert old.failure("1.1") == "no answer"
    assert old.failure("1.2") is None
    await old.stage(file)
    assert old.failure("1.1") is None, "another attempt is a new one"


async def test_a_cut_while_unpacking_leaves_nothing_that_counts(tmp_path: Path) -> None:
    root = make_root(tmp_path)
    torn = root / "releases/.1.1.new/agent"
    torn.mkdir(parents=True)
    (torn / "app.py").write_text("half")
    await installer(root).stage(make_release(tmp_path, "1.1"))
    assert sorted(path.name for path in (root / "releases").iterdir()) == ["1.0", "1.1"]


@pytest.mark.req("R16-298", "TC_044_3_CS")
async def test_a_downgrade_needs_permission(tmp_path: Path) -> None:
    root = make_root(tmp_path, "1.10")
    file = make_release(tmp_path, "1.9")
    with pytest.raises(InstallError, match=r"older than 1\.10, which runs"):
        await installer(root).stage(file)
    assert await installer(root, SlotRules(MOST_BYTES, may_downgrade=True)).stage(file) == "1.9"


async def test_the_running_release_is_recognised_and_never_overwritten(tmp_path: Path) -> None:
    root = make_root(tmp_path)
    assert await installer(root).stage(tmp_path / "evse-agent-1.0.zip") == "1.0"
    other = make_release(tmp_path, "1.0", {"agent/app.py": "x = 1\n"})
    with pytest.raises(InstallError, match="runs already, and the file holds another"):
        await installer(root).stage(other)
    assert (root / "releases/1.0/agent/app.py").read_text() == ""


async def test_firmware_for_another_machine_is_refused(tmp_path: Path) -> None:
    root = make_root(tmp_path)
    with pytest.raises(InstallError, match=r"release 1\.1: it is for armv7l, this machine is riscv64"):
        await installer(root).stage(make_release(tmp_path, "1.1", machines=("armv7l",)))
    assert sorted(path.name for path in (root / "releases").iterdir()) == ["1.0"]


async def test_an_agent_that_was_not_started_from_the_root_updates_nothing(tmp_path: Path) -> None:
    root = make_root(tmp_path)
    elsewhere = SlotInstaller(root, tmp_path, HERE, RULES)
    with pytest.raises(InstallError, match="this agent runs from"):
        await elsewhere.stage(make_release(tmp_path, "1.1"))


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"agent/app.py": "import nothing_of_this_name\n"}, "No module named 'nothing_of_this_name'"),
        ({"agent/cli.py": "raise SystemExit(3)\n"}, "its code cannot be loaded: no word why"),
        ({"agent/app.py": "import agent.version\nagent.version.VERSION = '9'\n"}, "its code says it is '9'"),
        ({"agent/app.py": "while True: pass\n"}, "cannot be loaded in time"),
    ],
)
async def test_code_that_does_not_load_here_is_found_before_the_switch(
    tmp_path: Path, files: dict[str, str], reason: str
) -> None:
    root = make_root(tmp_path)
    running = installer(root, SlotRules(MOST_BYTES, self_test_s=1.0))
    await running.stage(make_release(tmp_path, "1.1", files))
    with pytest.raises(ReleaseBroken, match=reason):
        await running.verify("1.1")
    assert os.readlink(root / "current") == "releases/1.0"


async def test_there_has_to_be_a_release_to_go_back_to(tmp_path: Path) -> None:
    root = make_root(tmp_path)
    with pytest.raises(InstallError, match="no release before"):
        await installer(root).roll_back("1.0", "x")
    assert os.readlink(root / "current") == "releases/1.0"
