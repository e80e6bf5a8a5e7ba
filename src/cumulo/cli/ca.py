"""`cumulo ca`: the certificate authority of the cloud, and how to trust it."""

from pathlib import Path

import click

from cumulo.cli.running import Running, runtime_folder

PATH = click.Path(path_type=Path)


@click.command("ca")
@click.option("--pem", is_flag=True, help="Print the certificate alone.")
@click.option("--path", "only_path", is_flag=True, help="Print where the certificate lies, and nothing else.")
@click.option("--data", type=PATH, help="The data folder.  Default: the running cloud's, or the usual one.")
def command(*, pem: bool, only_path: bool, data: Path | None) -> None:
    """Say where the certificate of the cloud's own authority lies, and how to trust it.

    It is made when there is none.  Every cloud (every data folder) has its own.
    """
    from cumulo.base.clock import SystemClock
    from cumulo.net.authority import Authority

    authority = Authority((data or _data()).absolute() / "ca", SystemClock())
    try:
        text = authority.certificate()
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    if pem:
        click.echo(text, nl=False)
    elif only_path:
        click.echo(str(authority.path))
    else:
        click.echo(explanation(str(authority.path)))


def explanation(path: str) -> str:
    """How programs and machines are told to trust a certificate."""
    return f"""\
The authority's certificate: {path}
Its key is beside it (ca.key): whoever has that can pretend to be anybody to those who trust the certificate.

For one command or program:
  curl --cacert {path} https://...
  export AWS_CA_BUNDLE={path}          # AWS CLI, boto3
  export NODE_EXTRA_CA_CERTS={path}    # Node.js
  export SSL_CERT_FILE={path}          # OpenSSL, Go, Python: instead of the machine's own
  export REQUESTS_CA_BUNDLE={path}     # Python's requests

For this machine:
  Debian, Ubuntu   sudo cp {path} /usr/local/share/ca-certificates/cumulo.crt && sudo update-ca-certificates
  Fedora, RHEL     sudo cp {path} /etc/pki/ca-trust/source/anchors/cumulo.pem && sudo update-ca-trust
  macOS            sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {path}
  Chromium         certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n cumulo -i {path}
  Firefox          Settings, Privacy & Security, View Certificates, Authorities, Import"""


def _data() -> Path:
    running = Running.list(runtime_folder())
    if running:
        return Path(running[0].data)
    from cumulo.cli.up import default_data

    return default_data()
