"""PEM texts for the fuzzing: a real certificate with LF and CRLF, a chain, a damaged one, and what is none."""

import trustme


def pem_texts() -> list[str]:
    authority = trustme.CA()
    root = authority.cert_pem.bytes().decode()
    leaf = authority.issue_cert("CP001").cert_chain_pems[0].bytes().decode()
    return [
        root,
        root.replace("\n", "\r\n"),
        leaf + root,
        leaf.replace("M", "N", 3),
        root.rstrip("\n"),
        "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
        "no certificate",
        "",
        "QUJD" * 100,
    ]
