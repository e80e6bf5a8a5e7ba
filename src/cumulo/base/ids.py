"""Ids as AWS makes them, from a source of randomness that is handed in."""

import random
import uuid


class Ids:
    """Makes ids; give it a seeded Random to make them repeatable."""

    def __init__(self, source: random.Random | None = None) -> None:
        self._source = source or random.SystemRandom()

    def uuid(self) -> str:
        """A random UUID, the form of request and revision ids."""
        return str(uuid.UUID(int=self._source.getrandbits(128), version=4))

    def hex(self, digits: int) -> str:
        """So many lower-case hexadecimal digits."""
        return f"{self._source.getrandbits(digits * 4):0{digits}x}"

    def upper(self, length: int) -> str:
        """So many of A-Z and 2-7, the form of access keys."""
        return "".join(self._source.choices("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", k=length))
