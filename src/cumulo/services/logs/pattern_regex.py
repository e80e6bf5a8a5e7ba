"""The regular expressions of filter patterns (`%...%`), matched in time linear in the text.

AWS's dialect has no parentheses: an expression is alternatives, each a row of characters or classes with at
most one quantifier.  So it is a row of states, and a text is matched by walking the set of live states, which
is one integer.  Sets that were met are remembered (a lazily built automaton).  Nothing backtracks, whatever
the expression and the text.
"""

from collections.abc import Callable

from cumulo.services.logs.pattern_errors import InvalidPattern

STATES_MAX = 512  # of one expression, after `{m,n}` is written out
REPEAT_MAX = 255
_REMEMBERED_MAX = 4096  # moves of the automaton that are kept
_SYMBOLS = frozenset("_#=@/;,-:' \"&~`")  # what AWS allows beside letters and digits, and what quoting needs
_OPERATORS = frozenset("^$?[]{}|\\*+.")
_CLASSES: dict[str, Callable[[str], bool]] = {
    "d": lambda c: c.isascii() and c.isdigit(),
    "s": lambda c: c in " \t\n\r\f\v",
    "w": lambda c: c.isascii() and (c.isalnum() or c == "_"),
}

Test = Callable[[str], bool]


class _Item:
    """One character or class, how often, and whether it is written out as optional."""

    __slots__ = ("least", "most", "test", "text")

    def __init__(self, test: Test, text: str) -> None:
        self.test = test
        self.text = text  # the one character it stands for; empty for a class
        self.least = 1
        self.most: int | None = 1


class Regex:
    """A compiled expression."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._tests: list[Test] = []
        self._loops = 0  # states that may stay
        self._skips = 0  # states that may be passed over
        self._starts = 0  # first states, live before every character
        self._anchored = 0  # first states that are live only before the first character
        self._ends = 0
        self._ends_anchored = 0  # ends that count only after the last character
        self._always = False
        rows = _parse(source)
        for items, from_start, to_end in rows:
            self._add(items, from_start=from_start, to_end=to_end)
        self._must_hold = _longest_literal(rows[0][0]) if len(rows) == 1 else ""
        self._masks: dict[str, int] = {}
        self._moves: dict[tuple[int, str], int] = {}

    def search(self, text: str) -> bool:
        """Whether the expression matches somewhere in the text."""
        if self._must_hold not in text:
            return False
        if self._always:
            return True
        if self._ends_anchored:
            text = text.removesuffix("\n")  # a line's end is where its text ends
        live = self._closed(self._starts | self._anchored)
        if live & self._ends or (not text and live & self._ends_anchored):
            return True
        moves, ends = self._moves, self._ends
        for c in text:
            after = moves.get((live, c))
            if after is None:
                after = self._move(live, c)
            if after & ends:
                return True
            live = after
        return bool(live & self._ends_anchored)

    # State i says "the items before i have matched"; each row of items has one state more than it has items.

    def _add(self, items: list[_Item], *, from_start: bool, to_end: bool) -> None:
        first = len(self._tests)
        for item in items:
            if item.most == 0:
                continue
            count = item.least if item.most is None else item.most
            for i in range(max(count, 1)):
                self._tests.append(item.test)
                if i >= item.least:
                    self._skips |= 1 << (len(self._tests) - 1)
            if item.most is None:
                self._loops |= 1 << (len(self._tests) - 1)
        self._tests.append(_nothing)
        if len(self._tests) > STATES_MAX:
            raise InvalidPattern
        end = 1 << (len(self._tests) - 1)
        if from_start:
            self._anchored |= 1 << first
        else:
            self._starts |= 1 << first
        if to_end:
            self._ends_anchored |= end
        else:
            self._ends |= end
        if not to_end and not from_start and self._closed(1 << first) & end:
            self._always = True

    def _closed(self, live: int) -> int:
        """The live states and those reached by passing over optional items.

        Adding a live bit to the run of ones above it carries to the state behind the run.
        """
        return live | (((live & self._skips) + self._skips) ^ self._skips)

    def _move(self, live: int, c: str) -> int:
        mask = self._masks.get(c)
        if mask is None:
            mask = sum(1 << i for i, test in enumerate(self._tests) if test(c))
            if len(self._masks) < _REMEMBERED_MAX:
                self._masks[c] = mask
        hit = live & mask
        # An item with `+` or `*` may match again from where it has matched: its state stays live, and the next
        # one is reached as well.
        after = self._closed((hit << 1) | (hit & self._loops) | self._starts)
        if len(self._moves) < _REMEMBERED_MAX:
            self._moves[live, c] = after
        return after


def _nothing(_: str) -> bool:
    return False


def _longest_literal(items: list[_Item]) -> str:
    """The longest text that every match holds: a quick way to say no."""
    best, run = "", ""
    for item in items:
        exactly_once = item.text and item.least == item.most == 1
        run = run + item.text if exactly_once else ""
        best = max(best, run, key=len)
    return best


def _parse(source: str) -> list[tuple[list[_Item], bool, bool]]:
    """Alternatives as (items, anchored at the start, anchored at the end)."""
    rows: list[tuple[list[_Item], bool, bool]] = []
    items: list[_Item] = []
    from_start = to_end = False
    at = 0
    while at < len(source):
        c = source[at]
        if c == "|":
            rows.append((items, from_start, to_end))
            items, from_start, to_end = [], False, False
            at += 1
        elif to_end:
            raise InvalidPattern  # something after `$`
        elif c == "^" and not items and not from_start:
            from_start = True
            at += 1
        elif c == "$":
            to_end = True
            at += 1
        else:
            item, at = _item(source, at)
            at = _quantify(item, source, at)
            items.append(item)
    rows.append((items, from_start, to_end))
    if not source:
        raise InvalidPattern
    return rows


def _item(source: str, at: int) -> tuple[_Item, int]:
    c = source[at]
    if c == ".":
        return _Item(lambda c: c != "\n", ""), at + 1
    if c == "\\":
        return _escape(source, at)
    if c == "[":
        return _bracket(source, at)
    if c in _OPERATORS or not _allowed(c):
        raise InvalidPattern
    return _literal(c), at + 1


def _allowed(c: str) -> bool:
    return c in _SYMBOLS or (c.isascii() and c.isalnum())


def _literal(c: str) -> _Item:
    return _Item(lambda other: other == c, c)


def _escape(source: str, at: int) -> tuple[_Item, int]:
    if at + 1 >= len(source):
        raise InvalidPattern
    c = source[at + 1]
    if c in _CLASSES:
        return _Item(_CLASSES[c], ""), at + 2
    if c.lower() in _CLASSES:
        inside = _CLASSES[c.lower()]
        return _Item(lambda other: not inside(other), ""), at + 2
    if c == "x":
        digits = source[at + 2 : at + 4]
        try:
            return _literal(chr(int(digits, 16))), at + 2 + len(digits)
        except ValueError:
            raise InvalidPattern from None
    if c.isalnum() or not c.isascii():
        raise InvalidPattern
    return _literal(c), at + 2


def _bracket(source: str, at: int) -> tuple[_Item, int]:
    at += 1
    negated = source[at : at + 1] == "^"
    at += negated
    tests: list[Test] = []
    while source[at : at + 1] != "]":
        if at >= len(source):
            raise InvalidPattern
        item, at = _escape(source, at) if source[at] == "\\" else (_literal(source[at]), at + 1)
        if item.text and source[at : at + 1] == "-" and source[at + 1 : at + 2] not in ("", "]"):
            last, at = (
                _escape(source, at + 1) if source[at + 1] == "\\" else (_literal(source[at + 1]), at + 2)
            )
            if not last.text or last.text < item.text:
                raise InvalidPattern
            tests.append(_between(item.text, last.text))
        else:
            tests.append(item.test)
    if not tests:
        raise InvalidPattern
    return _Item(lambda c: any(test(c) for test in tests) != negated, ""), at + 1


def _between(first: str, last: str) -> Test:
    return lambda c: first <= c <= last


def _quantify(item: _Item, source: str, at: int) -> int:
    """Read the quantifier behind an item, if there is one."""
    c = source[at : at + 1]
    if c in ("*", "+", "?"):
        item.least = 1 if c == "+" else 0
        item.most = 1 if c == "?" else None
        return at + 1
    if c != "{":
        return at
    end = source.find("}", at)
    low, comma, high = source[at + 1 : end].partition(",") if end > 0 else ("", "", "")
    if not low.isdecimal() or (high and not high.isdecimal()):
        raise InvalidPattern
    item.least = int(low[:4])
    item.most = item.least if not comma else (int(high[:4]) if high else None)
    if item.least > REPEAT_MAX or (item.most is not None and not item.least <= item.most <= REPEAT_MAX):
        raise InvalidPattern
    return end + 1
