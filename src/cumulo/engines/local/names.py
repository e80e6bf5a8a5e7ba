"""Which names pods have, and what is answered to a question about them.  Pure."""

import socket
from collections.abc import Mapping, Sequence

from cumulo.engines.local import dns
from cumulo.engines.local.dns import Answer, Labels, Question

_GATEWAY = ""  # no pod has this name


class Names:
    """The names of an instance's pods, and those that others publish.  Several pods may share one.

    gateway_names   under which pods find the host
    """

    def __init__(self, gateway_names: tuple[str, ...] = ()) -> None:
        self._gateway_names = gateway_names
        self._addresses: dict[Labels, list[bytes]] = {}
        self._pods: dict[str, tuple[str, tuple[Labels, ...]]] = {}
        self._reverse: dict[Labels, bytes] = {}
        self._published: dict[str, dict[Labels, tuple[bytes, ...]]] = {}
        self._fixed = frozenset(dns.labels(name) for name in gateway_names)
        self._zone: Labels = ()

    def publish(self, owner: str, records: Mapping[str, Sequence[str]]) -> None:
        """All that an owner publishes from now on; ValueError for what is no name or address."""
        table = {}
        for name, addresses in records.items():
            try:
                table[dns.labels(name)] = tuple(socket.inet_aton(address) for address in addresses)
            except OSError:
                raise ValueError(f"{name!r} has what is no address: {', '.join(addresses)}") from None
        if table:
            self._published[owner] = table
        else:
            self._published.pop(owner, None)

    def _find(self, name: Labels) -> list[bytes] | None:
        """The addresses of a name; None when nobody has it.  Nobody can publish what leads to the host."""
        if name in self._fixed:
            return self._addresses.get(name)
        found = [table[name] for table in self._published.values() if name in table]
        pods = self._addresses.get(name)
        if pods is None and not found:
            return None
        return list(dict.fromkeys([*(pods or ()), *(address for one in found for address in one)]))

    def serve(self, subnet: int) -> None:
        """Addresses of 10.`subnet`.0.0/16 are ours to name."""
        self._zone = dns.reverse(f"10.{subnet}.0.0")[2:]
        if self._gateway_names:
            self._put(_GATEWAY, self._gateway_names, f"10.{subnet}.0.1")

    def put(self, pod: str, names: tuple[str, ...], address: str) -> None:
        """Name a pod; ValueError for what is no name."""
        self._put(pod, (pod, *names), address)

    def _put(self, pod: str, names: tuple[str, ...], address: str) -> None:
        found = tuple(dict.fromkeys(dns.labels(name) for name in names))
        self.drop(pod)
        self._pods[pod] = (address, found)
        for name in found:
            self._addresses.setdefault(name, []).append(socket.inet_aton(address))
        self._reverse[dns.reverse(address)] = dns.encoded(found[0])

    def drop(self, pod: str) -> None:
        """Forget a pod; harmless when it is not known."""
        address, found = self._pods.pop(pod, ("", ()))
        for name in found:
            self._addresses[name].remove(socket.inet_aton(address))
            if not self._addresses[name]:
                del self._addresses[name]
        if found:
            self._reverse.pop(dns.reverse(address), None)

    def answer(self, question: Question) -> Answer | None:
        """What is known; None when others are to be asked."""
        if question.family != dns.IN:
            return None
        addresses = self._find(question.name)
        if addresses is not None:
            if question.kind not in (dns.A, dns.ANY):
                return Answer()  # AAAA above all: there is such a name, but it has none
            return Answer(data=dns.rotated(addresses, question.number))
        if self._zone and question.name[-len(self._zone) :] == self._zone:
            return self._answer_reverse(question)
        return None

    def _answer_reverse(self, question: Question) -> Answer:
        name = self._reverse.get(question.name)
        if name is None:
            return Answer(code=dns.NO_SUCH_NAME)
        return Answer(kind=dns.PTR, data=(name,) if question.kind in (dns.PTR, dns.ANY) else ())
