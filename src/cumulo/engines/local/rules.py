"""The nft rules of an instance's pods: written from what should be, applied all or nothing.

    pod eth0 ──veth── bridge 10.n.0.1/16 ──forward, masquerade──▶ the world
    host:port ──dnat──▶ pod:port        (kept by the kernel: works while no control plane runs)

Loopback's packets are translated where they leave (output), never where others arrive: a neighbour that sends
packets to 127.0.0.1 does not reach a port that is for this machine alone.

Of the host a pod reaches DNS on the gateway and the ports that are allowed; those lead to the host's loopback.
"""

from collections.abc import Iterable, Mapping

import msgspec

from cumulo.engines.engine import Port
from cumulo.engines.local import dns

ANY = "0.0.0.0"  # noqa: S104

# Questions that one pod, and all of them, may ask a second: what the event loop answers without being slowed.
_ASKS_MAX, _ASKS_BURST = 1000, 200
_ASKS_MAX_ALL, _ASKS_BURST_ALL = 5000, 1000


class Ruleset(msgspec.Struct, frozen=True, kw_only=True):
    """All that the rules are made from.

    mapped       of each pod's address: its ports, with those of the host
    host_ports   TCP ports of the gateway that lead to the same port of the host's loopback
    hosts        addresses of the host's own: pods reach what listens at one of them, and nothing that listens everywhere
    dns_port     where the name server listens on the gateway; pods ask port 53
    """

    table: str
    bridge: str
    subnet: int
    mapped: Mapping[str, tuple[Port, ...]] = {}
    host_ports: frozenset[int] = frozenset()
    hosts: tuple[str, ...] = ()
    dns_port: int = dns.PORT


_TABLE = """
add table inet {table}
delete table inet {table}
table inet {table} {{
  map ports_at {{
    type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
    {at}
  }}
  map ports_any {{
    type inet_proto . inet_service : ipv4_addr . inet_service
    {anywhere}
  }}
  set host_ports {{
    type inet_service
    {host_ports}
  }}
  set askers {{
    type ipv4_addr
    size 65535
    flags dynamic,timeout
    timeout 10s
  }}
  chain early {{
    type filter hook prerouting priority -300; policy accept;
    iifname "{bridge}" meta nfproto ipv6 drop
    iifname "{bridge}" ip saddr != {subnet} drop
    iifname "{bridge}" ip daddr {{ 127.0.0.0/8, 169.254.0.0/16 }} drop
  }}
  chain prerouting {{
    type nat hook prerouting priority -100; policy accept;
    iifname "{bridge}" ip daddr {gateway} tcp dport @host_ports dnat ip to 127.0.0.1
    {redirect}
    ip daddr 127.0.0.0/8 return
    fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @ports_at
    fib daddr type local dnat ip to meta l4proto . th dport map @ports_any
  }}
  chain output {{
    type nat hook output priority -100; policy accept;
    fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @ports_at
    fib daddr type local dnat ip to meta l4proto . th dport map @ports_any
  }}
  chain input {{
    type filter hook input priority -10; policy accept;
    ip daddr {gateway} iifname != {{ "lo", "{bridge}" }} drop
    {hosts_closed}
    iifname != "{bridge}" accept
    meta l4proto {{ tcp, udp }} th dport {dns_port} add @askers {{ ip saddr limit rate over {asks}/second burst {asks_burst} packets }} drop
    meta l4proto {{ tcp, udp }} th dport {dns_port} limit rate over {all_asks}/second burst {all_asks_burst} packets drop
    ct state established,related accept
    ip daddr {gateway} meta l4proto {{ tcp, udp }} th dport {dns_port} accept
    ct status dnat ip daddr 127.0.0.1 tcp dport @host_ports accept
    {hosts_open}
    meta l4proto tcp reject with tcp reset
    drop
  }}
  chain forward {{
    type filter hook forward priority -10; policy accept;
    oifname "{bridge}" meta nfproto ipv6 drop
    iifname "{bridge}" oifname "{bridge}" accept
    iifname "{bridge}" ip daddr 224.0.0.0/4 drop
    iifname "{bridge}" oifname "cu*" drop
    iifname "{bridge}" accept
    oifname "{bridge}" iifname "cu*" drop
    oifname "{bridge}" ct state established,related accept
    oifname "{bridge}" ct status dnat accept
    oifname "{bridge}" drop
  }}
  chain postrouting {{
    type nat hook postrouting priority 100; policy accept;
    ip saddr {subnet} oifname != {{ "lo", "{bridge}" }} masquerade
    oifname "{bridge}" ip saddr 127.0.0.0/8 masquerade
    oifname "{bridge}" ip saddr {subnet} ct status dnat masquerade
  }}
}}
"""


def gateway(subnet: int) -> str:
    """The host's address on the bridge."""
    return f"10.{subnet}.0.1"


def whole(rules: Ruleset) -> str:
    """The table, made anew: for nft, in one transaction."""
    at, anywhere = _elements(rules.mapped)
    redirect = ""
    if rules.dns_port != dns.PORT:
        redirect = (
            f'iifname "{rules.bridge}" ip daddr {gateway(rules.subnet)} '
            f"meta l4proto {{ tcp, udp }} th dport {dns.PORT} redirect to :{rules.dns_port}"
        )
    hosts = ", ".join(sorted(rules.hosts))
    return _TABLE.format(
        table=rules.table,
        bridge=rules.bridge,
        subnet=f"10.{rules.subnet}.0.0/16",
        gateway=gateway(rules.subnet),
        at=_list(at),
        anywhere=_list(anywhere),
        host_ports=_list(str(port) for port in sorted(rules.host_ports)),
        redirect=redirect,
        hosts_closed=f'ip daddr {{ {hosts} }} iifname != {{ "lo", "{rules.bridge}" }} drop' if hosts else "",
        hosts_open=f"ip daddr {{ {hosts} }} meta l4proto {{ tcp, udp }} socket wildcard 0 accept"
        if hosts
        else "",
        dns_port=rules.dns_port,
        asks=_ASKS_MAX,
        asks_burst=_ASKS_BURST,
        all_asks=_ASKS_MAX_ALL,
        all_asks_burst=_ASKS_BURST_ALL,
    )


def ports_only(rules: Ruleset) -> str:
    """Only what leads where, in a table that is there."""
    lines = []
    for name, elements in zip(("ports_at", "ports_any"), _elements(rules.mapped), strict=True):
        lines.append(f"flush map inet {rules.table} {name}")
        if elements:
            lines.append(f"add element inet {rules.table} {name} {{ {', '.join(elements)} }}")
    return "\n".join(lines) + "\n"


def none(table: str) -> str:
    """No table; adding first makes deleting succeed whether it was there or not."""
    return f"add table inet {table}\ndelete table inet {table}\n"


def _elements(mapped: Mapping[str, tuple[Port, ...]]) -> tuple[list[str], list[str]]:
    at: list[str] = []
    anywhere: list[str] = []
    for address, ports in sorted(mapped.items()):
        for port in ports:
            to = f"{address} . {port.container}"
            if port.address == ANY:
                anywhere.append(f"{port.protocol} . {port.host} : {to}")
            else:
                at.append(f"{port.address} . {port.protocol} . {port.host} : {to}")
    return at, anywhere


def _list(elements: Iterable[str]) -> str:
    inside = ", ".join(elements)
    return f"elements = {{ {inside} }}" if inside else ""
