"""`evse-agent firmware`: make a firmware file, sign it, look into it, and lay out a machine for updates.

For the manufacturer's build machine and the first installation; a running agent is not needed. Only parses, calls and
prints: `agent/update`. docs/firmware.md.
"""

import sys
from pathlib import Path
from typing import NoReturn

import click

from agent.exit_codes import ExitCode

MOST_BYTES = 4_294_967_296
_file = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group()
def firmware() -> None:
    """Make, sign and inspect firmware files; prepare a machine for updates."""


@firmware.command()
@click.argument("source", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--include", multiple=True, help="Another file or directory in SOURCE to pack; repeatable.")
@click.option("--machine", multiple=True, help="Only for this machine, as `uname -m` says it; repeatable.")
@click.option("--model", multiple=True, help="Only for stations of this model; repeatable.")
def pack(
    source: Path, output: Path, include: tuple[str, ...], machine: tuple[str, ...], model: tuple[str, ...]
) -> None:
    """Make the firmware file OUTPUT of the packages agent, hal and board in SOURCE."""
    from agent.errors import InstallError
    from agent.update.release import ANY_MACHINE
    from agent.update.release import pack as pack_release

    try:
        manifest = pack_release(
            source, output, include=include, machines=machine or (ANY_MACHINE,), models=model
        )
    except (InstallError, OSError) as error:
        _fail(f"{source} cannot be packed: {error}")
    click.echo(f"{output}: release {manifest.version}, {len(manifest.files)} files")


@firmware.command()
@click.argument("file", type=_file)
@click.option("--key", "-k", required=True, type=_file, help="Private key of the signing certificate, PEM.")
@click.option("--password", envvar="EVSE_AGENT_KEY_PASSWORD", help="Of the key, if it has one.")
def sign(file: Path, key: Path, password: str | None) -> None:
    """Print the signature of FILE, as SignedUpdateFirmware carries it."""
    from agent.update.signatures import sign as sign_file

    try:
        click.echo(sign_file(file, key.read_bytes(), password.encode() if password else None))
    except (ValueError, OSError) as error:
        _fail(f"{file} cannot be signed with {key}: {error}")


@firmware.command()
@click.argument("file", type=_file)
@click.option("--certificate", type=_file, help="Signing certificate, PEM.")
@click.option("--signature", help="Base64, as `sign` prints it.")
@click.option("--root", "root_certificate", type=_file, help="The manufacturer's root certificate, PEM.")
def inspect(
    file: Path, certificate: Path | None, signature: str | None, root_certificate: Path | None
) -> None:
    """Show what FILE holds, and check it as a station would."""
    from agent.errors import CertificateRefused, InstallError
    from agent.update.release import read_manifest

    if (signature is None) is not (certificate is None) or (root_certificate and certificate is None):
        raise click.UsageError(
            "--signature needs --certificate, --certificate needs --signature, --root both"
        )
    try:
        manifest = read_manifest(file, MOST_BYTES)
        click.echo(f"version   {manifest.version}")
        click.echo(f"machines  {', '.join(manifest.machines)}")
        click.echo(f"models    {', '.join(manifest.models) or 'all'}")
        click.echo(f"python    {manifest.python} or newer")
        click.echo(f"files     {len(manifest.files)}")
        if certificate is not None and signature is not None:
            _check_signature(file, certificate.read_text(), signature, root_certificate)
    except (InstallError, CertificateRefused, OSError, UnicodeDecodeError) as error:
        _fail(f"{file}: {error}")


def _check_signature(file: Path, certificate: str, signature: str, root: Path | None) -> None:
    from datetime import UTC, datetime

    from agent.security import checks
    from agent.update.signatures import check_certificate, signature_problem

    if root is not None:
        check_certificate(certificate, checks.read_all(root.read_text()), datetime.now(UTC))
        click.echo("signer    issued by this root")
    problem = signature_problem(file, certificate, signature)
    if problem is not None:
        _fail(f"{file}: {problem}")
    click.echo("signature good")


@firmware.command()
@click.argument("root", type=click.Path(path_type=Path, file_okay=False))
@click.argument("file", type=_file)
@click.option("--model", default="", help="Model of this station, if the file is for certain ones.")
def prepare(root: Path, file: Path, model: str) -> None:
    """Lay out ROOT with FILE as its first release; then start the agent with ROOT/launch."""
    from agent.errors import InstallError
    from agent.update.release import Here
    from agent.update.slots import prepare as lay_out

    try:
        version = lay_out(root, file, Here(model), MOST_BYTES)
    except (InstallError, OSError) as error:
        _fail(f"{root} cannot be prepared: {error}")
    click.echo(f"{root}: release {version}; start the agent with {root / 'launch'} run CONFIG")


def _fail(message: str) -> NoReturn:
    click.echo(f"Error: {message}", err=True)
    sys.exit(ExitCode.FAILED)
