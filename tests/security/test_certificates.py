"""The certificate store: what may be installed, what is listed, what may go, and what a power cut leaves."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.charging.certificates import (
    CertificateHash,
    CertificateVerdict,
)
from agent.charging.ids import CertificateUse, HashAlgorithm
from agent.errors import CertificateRefused, CertificateStoreFull
from agent.security import checks, signing
from agent.security.certificates import CertificateStore
from tests.helpers.authorities import YEAR, Authority, Issued, usage

NOW = datetime.now(UTC)
CSMS, MANUFACTURER = CertificateUse.CSMS_ROOT, CertificateUse.MANUFACTURER_ROOT
ROOT, OTHER = Authority.root(), Authority.root("Other")


@pytest.fixture
def store(tmp_path: Path) -> CertificateStore:
    return CertificateStore(tmp_path / "certificates")


def install(store: CertificateStore, root: Issued, use: CertificateUse = CSMS, **more: Any) -> None:
    store.install_root(use, root.pem, NOW, **{"limit": 8, **more})


def named(root: Issued, algorithm: HashAlgorithm = HashAlgorithm.SHA256) -> CertificateHash:
    return checks.hash_of(root.certificate, root.certificate, algorithm)


@pytest.mark.req("R16-346", "R16-349")
def test_what_is_installed_is_listed_by_its_use_also_by_another_store(
    store: CertificateStore, tmp_path: Path
) -> None:
    assert store.hashes(CSMS) == ()
    assert store.trust_anchors() == ""
    install(store, ROOT)
    install(store, OTHER, MANUFACTURER)
    again = CertificateStore(tmp_path / "certificates")
    assert again.hashes(CSMS) == (named(ROOT),)
    assert again.hashes(MANUFACTURER) == (named(OTHER),)
    assert again.roots("ManufacturerRootCertificate") == [OTHER.certificate]  # type: ignore[arg-type]
    assert again.trust_anchors() == ROOT.pem
    assert again.has_valid_root(NOW)
    assert not again.has_valid_root(NOW + 20 * YEAR)


@pytest.mark.req("R16-349")
def test_the_same_root_twice_is_installed_once_even_when_the_store_is_full(store: CertificateStore) -> None:
    install(store, ROOT, limit=1)
    install(store, ROOT, limit=1)
    assert len(store.hashes(CSMS)) == 1


@pytest.mark.req("R16-349")
def test_the_limit_counts_every_kind_together(store: CertificateStore) -> None:
    install(store, ROOT, limit=2)
    install(store, OTHER, MANUFACTURER, limit=2)
    with pytest.raises(CertificateStoreFull):
        install(store, Authority.root("Third"), limit=2)
    assert len(store.hashes(CSMS)) == 1


@pytest.mark.req("R16-349", "TC_078_CS")
@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        Authority.root(ends=-YEAR).pem,
        ROOT.issue().pem,
        ROOT.pem + OTHER.pem,
        ROOT.authority().pem,
    ],
    ids=["empty", "nonsense", "expired", "no authority", "two", "signed by a stranger"],
)
def test_what_is_refused_changes_nothing(text: str, store: CertificateStore) -> None:
    with pytest.raises(CertificateRefused):
        store.install_root(CSMS, text, NOW, limit=8)
    assert store.hashes(CSMS) == ()


@pytest.mark.req("R16-353")
def test_a_sub_authority_may_be_installed_once_its_issuer_is_known(store: CertificateStore) -> None:
    sub = ROOT.authority()
    with pytest.raises(CertificateRefused, match="neither self-signed"):
        install(store, sub)
    install(store, sub, anchors=[ROOT.pem])
    wanted = checks.hash_of(sub.certificate, ROOT.certificate, HashAlgorithm.SHA256)
    assert store.hashes(CSMS) == (wanted,)
    assert store.trust_anchors() == sub.pem  # the issuer, kept for the hashes, is not trusted by that
    assert store.delete_root(wanted, ()) is CertificateVerdict.ACCEPTED


@pytest.mark.req("R16-347", "R16-353")
@pytest.mark.parametrize("algorithm", list(HashAlgorithm))
def test_a_root_is_deleted_by_any_algorithm_in_any_case(
    algorithm: HashAlgorithm, store: CertificateStore
) -> None:
    root = Authority.root(serial_number=0xABC)
    install(store, root)
    install(store, OTHER)
    wanted = named(root, algorithm)
    shouted = CertificateHash(
        algorithm, wanted.issuer_name_hash.upper(), wanted.issuer_key_hash.upper(), "0ABC"
    )
    assert store.delete_root(shouted, ()) is CertificateVerdict.ACCEPTED
    assert store.delete_root(shouted, ()) is CertificateVerdict.NOT_FOUND
    assert store.hashes(CSMS) == (named(OTHER),)


@pytest.mark.req("R16-348")
def test_the_root_of_the_connection_stays_and_that_of_the_manufacturer_may_go(
    store: CertificateStore,
) -> None:
    install(store, ROOT)
    install(store, ROOT, MANUFACTURER)
    assert store.delete_root(named(ROOT), (ROOT.der,)) is CertificateVerdict.FAILED
    assert store.delete_root(named(ROOT), (ROOT.der,), (MANUFACTURER,)) is CertificateVerdict.ACCEPTED
    assert store.hashes(CSMS) == (named(ROOT),)


@pytest.mark.req("R16-348")
def test_no_root_of_the_csms_is_deleted_while_nobody_can_tell_which_one_is_in_use(
    store: CertificateStore,
) -> None:
    install(store, OTHER)
    install(store, ROOT, MANUFACTURER)
    assert store.delete_root(named(OTHER), None) is CertificateVerdict.FAILED
    assert store.delete_root(named(ROOT), None) is CertificateVerdict.ACCEPTED
    assert store.hashes(CSMS) == (named(OTHER),)


@pytest.mark.req("R16-348")
def test_the_stations_own_certificate_cannot_be_deleted_by_its_hashes(store: CertificateStore) -> None:
    install(store, ROOT)
    leaf = ROOT.issue("0001")
    store.add_own((leaf.certificate,), leaf.key_pem)
    wanted = checks.hash_of(leaf.certificate, ROOT.certificate, HashAlgorithm.SHA256)
    assert store.delete_root(wanted, ()) is CertificateVerdict.FAILED
    # Nor where its root is a configured file, which the store does not know.
    assert store.delete_root(named(ROOT), ()) is CertificateVerdict.ACCEPTED
    assert store.delete_root(wanted, ()) is CertificateVerdict.FAILED
    assert len(store.own()) == 1


def test_a_file_that_is_broken_is_left_out(store: CertificateStore, tmp_path: Path) -> None:
    install(store, ROOT)
    install(store, OTHER)
    next((tmp_path / "certificates").glob("csms-*")).write_text("flipped bits")
    assert len(store.roots(CSMS)) == 1
    (tmp_path / "certificates" / "station-what.pem").write_text("not ours")
    assert store.own() == []


# --- AdditionalRootCertificateCheck ----------------------------------------------------------------------


def replace(store: CertificateStore, root: Issued, *anchors: str, limit: int = 8) -> None:
    store.replace_root(root.pem, NOW, limit=limit, anchors=anchors)


@pytest.mark.req("R16-351", "R16-352")
def test_a_root_is_replaced_by_one_that_it_signed_and_stays_as_fallback_until_it_is_not_needed(
    store: CertificateStore,
) -> None:
    new = ROOT.renewed()
    replace(store, ROOT)  # the very first one
    with pytest.raises(CertificateRefused, match="not signed by the root certificate that it replaces"):
        replace(store, OTHER)
    replace(store, new)
    assert store.fallback_root() == ROOT.certificate
    assert not store.drop_fallback((ROOT.issue().der, ROOT.der))
    with pytest.raises(CertificateRefused, match="not been proven"):
        replace(store, new.renewed(common_name="Root 3"))
    assert store.drop_fallback((new.issue().der, new.der))
    assert store.roots(CSMS) == [new.certificate]
    assert store.fallback_root() is None
    # Its hashes still name the issuer, which is gone.
    assert store.hashes(CSMS) == (checks.hash_of(new.certificate, ROOT.certificate, HashAlgorithm.SHA256),)
    replace(store, new.renewed(common_name="Root 3"))


@pytest.mark.req("R16-351")
def test_the_configured_root_counts_as_the_old_one_and_becomes_the_fallback(store: CertificateStore) -> None:
    new = ROOT.renewed()
    with pytest.raises(CertificateRefused, match="not signed"):
        replace(store, OTHER, ROOT.pem)
    replace(store, new, ROOT.pem)
    assert store.fallback_root() == ROOT.certificate
    assert {root.subject for root in store.roots(CSMS)} == {new.certificate.subject, ROOT.certificate.subject}


@pytest.mark.req("R16-349", "R16-351")
def test_a_replacement_needs_room_for_its_fallback(store: CertificateStore) -> None:
    replace(store, ROOT, limit=1)
    with pytest.raises(CertificateStoreFull):
        replace(store, ROOT.renewed(), limit=1)
    assert store.roots(CSMS) == [ROOT.certificate]


# --- the station's own -----------------------------------------------------------------------------------


@pytest.mark.req("R16-343")
def test_own_certificates_are_ordered_by_their_begin(store: CertificateStore) -> None:
    leaves = [ROOT.issue("0001", begins=timedelta(days=days)) for days in (3, 1, 2)]
    for leaf in leaves:
        store.add_own((leaf.certificate,), leaf.key_pem)
    begins = [own.not_before for own in store.own()]
    assert begins == sorted(begins, reverse=True)
    assert begins == sorted((leaf.certificate.not_valid_before_utc for leaf in leaves), reverse=True)
    store.remove_own(store.own()[0])
    assert len(store.own()) == 2


@pytest.mark.req("R16-338")
@pytest.mark.req("A02.FR.05", "A03.FR.05")
def test_a_certificate_and_its_key_are_one_file_and_no_key_waits_any_more(
    store: CertificateStore, tmp_path: Path
) -> None:
    key = signing.new_key("ECDSA-P256")
    store.keep_pending_key(key)
    assert store.pending_key() == key
    sub = ROOT.authority()
    leaf = sub.sign(signing.signing_request(key, "0001", "Example Org"))
    own = store.add_own((leaf.certificate, *leaf.chain), key)
    assert store.pending_key() is None
    assert own.path.read_text() == leaf.chain_pem + key
    assert {file.stat().st_mode & 0o777 for file in (tmp_path / "certificates").iterdir()} == {0o600}
    assert store.own_certificate(leaf.certificate) == own
    assert store.own_certificate(sub.certificate) is None


@pytest.mark.req("R16-323", "R16-337")
@pytest.mark.req("A00.FR.501", "A00.FR.502", "A00.FR.503", "A00.FR.504", "A00.FR.507", "A00.FR.509")
@pytest.mark.req("A00.FR.506", "A00.FR.511", "A00.FR.512", "A00.FR.514", "A02.FR.03", "A03.FR.03")
@pytest.mark.parametrize(
    ("kind", "size"),
    [("ECDSA-P256", 256), ("ECDSA-P384", 384), ("RSA-2048", 2048), ("RSA-3072", 3072)],
)
def test_a_signing_request_holds_what_is_asked_of_it(kind: str, size: int) -> None:
    from cryptography import x509

    text = signing.signing_request(signing.new_key(kind), "0001", "Example Org")
    assert len(text) <= 5500
    request = x509.load_pem_x509_csr(text.encode())
    assert request.is_signature_valid
    assert request.subject.rfc4514_string() == "CN=0001,O=Example Org"
    assert request.public_key().key_size == size  # type: ignore[union-attr]
    assert request.signature_hash_algorithm is not None
    assert request.signature_hash_algorithm.name == "sha256"
    (found,) = request.extensions  # and so no extended key usage (A00.FR.514)
    assert found.value == usage(digital_signature=True)


@pytest.mark.req("R16-336")
@pytest.mark.req("A00.FR.427")
def test_every_key_is_a_new_one() -> None:
    assert len({signing.new_key("ECDSA-P256") for _ in range(5)}) == 5
