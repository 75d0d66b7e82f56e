"""Whom the certificate of a file server may come from: the system's authorities, and the roots of the CSMS beside."""

from pathlib import Path

import pytest
import trustme

from agent.transfer import TransferFailure, download
from agent.transfer.trust import authorities
from tests.helpers.file_servers import HttpFiles
from tests.transfer.kinds import failure_of, holds

CONTENT = b"everything"


def pem_of(ca: trustme.CA) -> str:
    return ca.cert_pem.bytes().decode()


@pytest.mark.req("N01.FR.15", "N01.FR.16")
async def test_roots_of_the_csms_add_to_the_authorities_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, csms, file, stranger = (trustme.CA() for _ in range(4))
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "x").write_bytes(CONTENT)
    (tmp_path / "file.pem").write_text(pem_of(file))
    system.cert_pem.write_to_path(tmp_path / "system.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "system.pem"))
    everyone = authorities(str(tmp_path / "file.pem"), pem_of(csms))
    for ca, trust, expected in (
        (system, everyone, None),
        (csms, everyone, None),
        (file, everyone, None),
        (stranger, everyone, TransferFailure.UNTRUSTED),
        (csms, authorities("", ""), TransferFailure.UNTRUSTED),
    ):
        target = tmp_path / "got"
        async with HttpFiles(tmp_path / "served", ca=ca) as server:
            assert await failure_of(download(server.url("x"), target, trust=trust)) is expected
        assert expected is not None or holds(target, CONTENT)
        target.unlink(missing_ok=True)
    assert authorities("", "") is None, "the system's alone"
