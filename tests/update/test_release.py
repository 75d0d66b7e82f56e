"""The firmware file: what is packed comes out again, and nothing that a file can hold gets out of its directory."""

import json
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import InstallError, ReleaseBroken
from agent.update import release
from agent.update.release import Here, check_release, pack, read_manifest, unfitness, unpack, version_order
from tests.helpers.firmware import HERE, MOST_BYTES, make_release


def rewrite(file: Path, **changes: object) -> Path:
    """The same file with another manifest."""
    with zipfile.ZipFile(file) as old:
        entries = [(entry.filename, old.read(entry)) for entry in old.infolist()]
    manifest = {**json.loads(entries[0][1]), **changes}
    changed = file.with_name("changed.zip")
    with zipfile.ZipFile(changed, "w") as new:
        new.writestr("manifest.json", json.dumps(manifest))
        for name, content in entries[1:]:
            new.writestr(name, content)
    return changed


def make_zip(folder: Path, names: dict[str, bytes], manifest: dict[str, object] | None = None) -> Path:
    file = folder / "made.zip"
    default = {"format": 1, "name": "evse-agent", "version": "1.0", "files": dict.fromkeys(names, "0" * 64)}
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest or default))
        for name, content in names.items():
            archive.writestr(name, content)
    return file


def test_what_is_packed_comes_out_again(tmp_path: Path) -> None:
    file = make_release(tmp_path, "1.2", {"agent/deep/er/x.sql": "SELECT 1;\n"})
    manifest = unpack(file, tmp_path / "out", MOST_BYTES)
    assert manifest.version == "1.2"
    assert (tmp_path / "out/agent/deep/er/x.sql").read_text() == "SELECT 1;\n"
    assert check_release(tmp_path / "out") == manifest
    assert not list((tmp_path / "out").rglob("__pycache__"))


def test_the_same_source_makes_the_same_bytes(tmp_path: Path) -> None:
    first = make_release(tmp_path, "1.0")
    again = tmp_path / "again.zip"
    pack(tmp_path / "source-1.0", again)
    assert first.read_bytes() == again.read_bytes()


def test_only_the_packages_and_what_is_included_is_packed(tmp_path: Path) -> None:
    make_release(tmp_path, "1.0", {"secret.key": "x", "extra/a.py": "", "agent/.env": "x"})
    manifest = pack(tmp_path / "source-1.0", tmp_path / "out.zip", include=("extra",))
    assert "extra/a.py" in manifest.files
    assert {"secret.key", "agent/.env"}.isdisjoint(manifest.files)


@pytest.mark.parametrize(
    "name",
    [
        "../out.py",
        "/etc/passwd",
        "agent/../../x",
        "a//b",
        "a/./b",
        "a\\b",
        "C:/x",
        "",
        "a/",
        "n\n",
        "manifest.json",
    ],
)
def test_no_path_leads_out_of_the_release(tmp_path: Path, name: str) -> None:
    manifest = {"format": 1, "name": "evse-agent", "version": "1.0", "files": {name: "0" * 64}}
    file = make_zip(tmp_path, {"agent/x.py": b""}, manifest)
    with pytest.raises(InstallError, match="a path that is not allowed"):
        read_manifest(file, MOST_BYTES)


@pytest.mark.parametrize("version", ["", "..", "1..0", "../1", "v1", "1/2", "1.0 ", "1" * 51, ".1"])
def test_no_version_is_a_path(tmp_path: Path, version: str) -> None:
    with pytest.raises(InstallError, match="its version is not allowed"):
        read_manifest(rewrite(make_release(tmp_path, "1.0"), version=version), MOST_BYTES)


def test_a_link_is_never_made(tmp_path: Path) -> None:
    file = tmp_path / "link.zip"
    entry = zipfile.ZipInfo("agent/x")
    entry.external_attr = 0o120777 << 16
    manifest = {"format": 1, "name": "evse-agent", "version": "1.0", "files": {"agent/x": "0" * 64}}
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr(entry, "/etc/passwd")
    with pytest.raises(ReleaseBroken):
        unpack(file, tmp_path / "out", MOST_BYTES)
    assert not (tmp_path / "out/agent/x").is_symlink()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a firmware file"),
        (b"GIF89a", "not a firmware file"),
        (b"PK\x05\x06" + bytes(18), "its first entry is not manifest.json"),
    ],
)
def test_a_file_of_another_kind_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "fw"
    file.write_bytes(content)
    with pytest.raises(InstallError, match=reason):
        read_manifest(file, MOST_BYTES)


def test_entries_and_manifest_have_to_agree(tmp_path: Path) -> None:
    manifest = {"format": 1, "name": "evse-agent", "version": "1.0", "files": {}}
    with pytest.raises(InstallError, match="not those of its manifest"):
        read_manifest(make_zip(tmp_path, {"agent/x.py": b""}, manifest), MOST_BYTES)


@pytest.mark.parametrize(
    "changes", [{"name": "other"}, {"format": 2}, {"files": 3}, {"machines": "any"}, {"version": 1}]
)
def test_a_manifest_of_another_kind_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    with pytest.raises(InstallError):
        read_manifest(rewrite(make_release(tmp_path, "1.0"), **changes), MOST_BYTES)


def test_a_file_that_is_not_what_the_manifest_says_is_found_while_unpacking_and_after(tmp_path: Path) -> None:
    file = make_release(tmp_path, "1.0")
    with zipfile.ZipFile(file) as old:
        digests = json.loads(old.read("manifest.json"))["files"]
    swapped = rewrite(file, files={**digests, "agent/app.py": "0" * 64})
    with pytest.raises(ReleaseBroken, match=r"'agent/app.py' is not what the manifest says"):
        unpack(swapped, tmp_path / "out", MOST_BYTES)
    unpack(file, tmp_path / "good", MOST_BYTES)
    (tmp_path / "good/agent/app.py").write_text("x = 1")
    with pytest.raises(ReleaseBroken, match=r"agent/app.py"):
        check_release(tmp_path / "good")


def test_a_bomb_is_refused_before_a_byte_is_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "bomb.zip"
    manifest = {"format": 1, "name": "evse-agent", "version": "1.0", "files": {"agent/x": "0" * 64}}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr("agent/x", bytes(1024 * 1024))
    with pytest.raises(InstallError, match="unpacked it has"):
        unpack(file, tmp_path / "out", 65_536)
    assert not (tmp_path / "out").exists()


def test_no_space_is_said_before_a_byte_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        free = 100

    monkeypatch.setattr(release.shutil, "disk_usage", lambda _path: Full)
    with pytest.raises(InstallError, match="bytes on the disk, 100 are free"):
        unpack(make_release(tmp_path, "1.0"), tmp_path / "out", MOST_BYTES)


@pytest.mark.parametrize(
    ("rules", "here", "reason"),
    [
        ({"machines": ("aarch64", "armv7l")}, HERE, "it is for aarch64, armv7l, this machine is riscv64"),
        ({"models": ("Other 11",)}, HERE, "it is for model Other 11, this is Wallbox 22"),
        ({}, Here("x", "riscv64", (3, 9)), "it needs Python 3.11, this is 3.9"),
        ({"machines": ("riscv64",), "models": ("Wallbox 22",)}, HERE, None),
        ({}, HERE, None),
    ],
)
def test_a_release_has_to_fit_the_machine(
    tmp_path: Path, rules: dict[str, tuple[str, ...]], here: Here, reason: str | None
) -> None:
    assert unfitness(read_manifest(make_release(tmp_path, "1.0", **rules), MOST_BYTES), here) == reason


def test_versions_sort_by_number_not_by_letter() -> None:
    in_order = ["0.9", "1.0a1", "1.0rc1", "1.0", "1.0.post1", "1.0.1", "1.9", "1.10", "2"]
    assert (
        sorted(["2", "1.0rc1", "1.9", "1.10", "0.9", "1.0.1", "1.0", "1.0.post1", "1.0a1"], key=version_order)
        == in_order
    )
    assert version_order("1.10") == version_order("1.10.0")
    assert version_order("1.0") < version_order("1.0+site2")


@given(content=st.binary(max_size=2000))
def test_no_bytes_at_all_make_it_crash(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.mktemp("fuzz") / "fw"
    file.write_bytes(content)
    with pytest.raises(InstallError):
        read_manifest(file, MOST_BYTES)


@given(at=st.integers(min_value=0), byte=st.integers(min_value=0, max_value=255))
def test_a_flipped_byte_is_an_install_error_or_no_matter(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int
) -> None:
    folder = tmp_path_factory.mktemp("flip")
    file = make_release(folder, "1.0")
    content = bytearray(file.read_bytes())
    content[at % len(content)] ^= byte
    file.write_bytes(content)
    try:
        unpack(file, folder / "out", MOST_BYTES)
    except InstallError:
        return
    check_release(folder / "out")
