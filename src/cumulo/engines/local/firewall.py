"""The host's own firewall (Docker's, ufw's), where its policy is to drop what it does not know: our exceptions in it.

They say no more than that packets of our bridge are none of its business: our own rules have judged them before.
"""

import re
import subprocess

from cumulo.sandbox.network import apply_rules

_CHAINS = ("FORWARD", "DOCKER-USER", "INPUT")
_SECONDS_MAX = 10.0


def needed(chains: dict[str, str], bridge: str) -> list[str]:
    """The commands that open what drops, by the listing of each chain (missing: no such chain).  Pure."""
    commands = []
    if "policy drop" in chains.get("FORWARD", ""):
        chain = "DOCKER-USER" if "DOCKER-USER" in chains else "FORWARD"
        commands += _missing(chains, chain, bridge, ("iifname", "oifname"))
    if "policy drop" in chains.get("INPUT", ""):
        commands += _missing(chains, "INPUT", bridge, ("iifname",))
    return commands


def _missing(chains: dict[str, str], chain: str, bridge: str, sides: tuple[str, ...]) -> list[str]:
    return [
        f'insert rule ip filter {chain} {side} "{bridge}" counter accept'
        for side in sides
        if f'{side} "{bridge}"' not in chains[chain]
    ]


def ours(chains: dict[str, str], bridge: str) -> list[str]:
    """The commands that take our exceptions away.  Pure."""
    return [
        f"delete rule ip filter {chain} handle {found[1]}"
        for chain, text in chains.items()
        for line in text.splitlines()
        if f'"{bridge}"' in line and (found := re.search(r"# handle (\d+)", line))
    ]


def make(nft: str, bridge: str) -> None:
    """Make the exceptions that are needed and missing."""
    _run(nft, needed(_listing(nft), bridge))


def remove(nft: str, bridge: str) -> None:
    """Take them away."""
    _run(nft, ours(_listing(nft), bridge))


def _run(nft: str, commands: list[str]) -> None:
    if commands:
        apply_rules(nft, "\n".join(commands) + "\n")


def has_table(nft: str, table: str) -> bool:
    """Whether a table is there."""
    return _nft(nft, "list", "chain", "inet", table, "input") != ""


def mapped(nft: str) -> str:
    """The maps of every instance, as nft's JSON."""
    return _nft(nft, "-j", "list", "maps", "inet")


def _listing(nft: str) -> dict[str, str]:
    listings = {chain: _nft(nft, "-a", "list", "chain", "ip", "filter", chain) for chain in _CHAINS}
    return {chain: text for chain, text in listings.items() if text}


def _nft(nft: str, *words: str) -> str:
    """What nft prints; nothing when there is no such thing."""
    done = subprocess.run([nft, *words], capture_output=True, text=True, check=False, timeout=_SECONDS_MAX)
    return done.stdout if done.returncode == 0 else ""
