"""/etc/hosts, /etc/hostname and /etc/resolv.conf of a pod: one of each, shared by its containers."""

from pathlib import Path

from cumulo.engines.engine import PodSpec
from cumulo.engines.local.needs import Connection

TARGETS = {"/etc/hosts": "hosts", "/etc/hostname": "hostname", "/etc/resolv.conf": "resolv.conf"}
_HOST_RESOLVER = Path("/etc/resolv.conf")


def hostname(spec: PodSpec) -> str:
    """What the pod calls itself."""
    return spec.hostname or spec.name


def hosts(spec: PodSpec, connection: Connection) -> str:
    """The names that need no name server."""
    lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
    own = list(dict.fromkeys([hostname(spec), spec.name, *spec.names]))
    lines.append(f"{connection.address or '127.0.0.1'}\t{' '.join(own)}")
    lines += [f"{address}\t{name}" for name, address in spec.hosts.items()]
    return "\n".join(lines) + "\n"


def resolver(spec: PodSpec, connection: Connection, of_host: str) -> str:
    """Its name servers: its own, or the network's, or the host's."""
    servers = spec.dns or connection.dns
    if not servers:
        return of_host
    return "".join(f"nameserver {server}\n" for server in servers) + "options ndots:0\n"


def write(folder: Path, spec: PodSpec, connection: Connection) -> None:
    """Write the three."""
    try:
        of_host = _HOST_RESOLVER.read_text()
    except OSError:
        of_host = ""
    texts = {
        "hosts": hosts(spec, connection),
        "hostname": hostname(spec) + "\n",
        "resolv.conf": resolver(spec, connection, of_host),
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)
