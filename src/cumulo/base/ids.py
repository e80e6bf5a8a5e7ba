"""Ids as AWS makes them, from a source of randomness that is handed in."""

import random

_POOL_BYTES = 4096
_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


class Ids:
    """Makes ids; give it a seeded Random to make them repeatable."""

    def __init__(self, source: random.Random | None = None) -> None:
        self._source = source or random.SystemRandom()
        self._pool = ""  # hexadecimal digits: asking the system for each costs more than all the rest
        self._at = 0

    def uuid(self) -> str:
        """A random UUID, the form of request and revision ids."""
        text = self.hex(32)
        # Version 4, variant 1: made once a request, so without the uuid module's ceremony.
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:]}"

    def hex(self, digits: int) -> str:
        """So many lower-case hexadecimal digits."""
        at = self._at
        if at + digits > len(self._pool):
            self._pool = self._source.randbytes(max(_POOL_BYTES, digits)).hex()
            at = 0
        self._at = at + digits
        return self._pool[at : at + digits]

    def upper(self, length: int) -> str:
        """So many of A-Z and 2-7, the form of access keys."""
        return "".join(self._source.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=length))
