"""Debian packages for tests: nothing is done when they are there, and a missing program is not passed over in CI."""

import pytest

from tests.helpers import debian_packages


def test_what_is_there_is_not_installed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(debian_packages.PROGRAMS, "sh", "sh")
    monkeypatch.setattr(debian_packages, "_as_root", lambda: pytest.fail("nothing is missing"))
    assert debian_packages.install(["sh"])
    assert debian_packages.program("sh").endswith("/sh")


def test_without_root_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(debian_packages, "_as_root", lambda: None)
    assert not debian_packages.install(["no-such-program"])
    assert "apt-get install no-such-program" in capsys.readouterr().out


@pytest.mark.parametrize(("is_ci", "outcome"), [("1", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_missing_program_skips_here_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch, is_ci: str, outcome: type[BaseException]
) -> None:
    monkeypatch.setenv("CI", is_ci)
    with pytest.raises(outcome, match="apt-get install no-such-program"):
        debian_packages.program("no-such-program")
