"""What may be wrong with a layer, and how much of one is too much.  Light: the unpacking child carries it."""


class Refusal(Exception):
    """A layer was not unpacked.  `kind` is one of PullError's: corrupt, refused, no-space."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def corrupt(message: str) -> Refusal:
    """The bytes are not what they should be."""
    return Refusal("corrupt", message)


def refused(message: str) -> Refusal:
    """The bytes are whole and mean harm, or more than we allow."""
    return Refusal("refused", message)


class Bounds:
    """How much one layer may be.

    bytes_max     of the uncompressed stream, and of the files with their holes
    entries_max   files, folders, links
    ratio_max     uncompressed : compressed; looked at beyond `ratio_from` uncompressed bytes.  gzip reaches 1032.
    free_min      bytes that stay free on the disk
    """

    def __init__(
        self,
        bytes_max: int = 64 << 30,
        entries_max: int = 2_000_000,
        ratio_max: int = 2000,
        ratio_from: int = 4 << 30,
        free_min: int = 256 << 20,
    ) -> None:
        self.bytes_max = bytes_max
        self.entries_max = entries_max
        self.ratio_max = ratio_max
        self.ratio_from = ratio_from
        self.free_min = free_min
