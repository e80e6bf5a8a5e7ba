"""Reads Java's regular expressions."""

from cumulo.wire.regex.syntax import (
    Around,
    Chars,
    Edge,
    Either,
    Group,
    Item,
    Node,
    Repeat,
    Sequence,
    Untranslatable,
)

_REPEATS_MAX = 65_536
_LETTERS = {"t": 9, "n": 10, "f": 12, "r": 13, "a": 7, "e": 27}
_DIGIT = Chars((Item(48, 57),))
_WORD = Chars((Item(48, 57), Item(65, 90), Item(95, 95), Item(97, 122)))
_SPACE = Chars((Item(9, 13), Item(32, 32)))
_ENDS = (Item(10, 10), Item(13, 13), Item(0x85, 0x85), Item(0x2028, 0x2029))  # what a dot does not match
_BLANK = (Item(9, 9), Item(32, 32), Item(0xA0, 0xA0), Item(0x2000, 0x200A), Item(0x3000, 0x3000))
_NAMED: dict[str, Chars] = {
    "Lower": Chars((Item(97, 122),)),
    "Upper": Chars((Item(65, 90),)),
    "ASCII": Chars((Item(0, 127),)),
    "Alpha": Chars((Item(65, 90), Item(97, 122))),
    "Digit": _DIGIT,
    "Alnum": Chars((Item(48, 57), Item(65, 90), Item(97, 122))),
    "Punct": Chars((Item(33, 47), Item(58, 64), Item(91, 96), Item(123, 126))),
    "Graph": Chars((Item(33, 126),)),
    "Print": Chars((Item(32, 126),)),
    "Blank": Chars((Item(9, 9), Item(32, 32))),
    "Cntrl": Chars((Item(0, 31), Item(127, 127))),
    "XDigit": Chars((Item(48, 57), Item(65, 70), Item(97, 102))),
    "Space": _SPACE,
    "IsAlphabetic": Chars((Item(category="L"), Item(category="Nl"))),
    "IsDigit": Chars((Item(category="Nd"),)),
    "LD": Chars((Item(category="L"), Item(category="Nd"))),
    "all": Chars(negated=True),
}
_CATEGORIES = {"L", "M", "N", "P", "S", "Z", "C"}


class Parser:
    """One pattern being read; `dot_all` and `any_case` are set by its inline flags."""

    def __init__(self, pattern: str, *, groups: bool = False, strict: bool = False) -> None:
        self._text = pattern
        self._at = 0
        self._keeps = groups
        self._strict = strict  # nothing may be repeated that is not there
        self.groups: list[str] = []  # the names of groups by number, empty for those without
        self.dot_all = False
        self.any_case = False

    def parse(self) -> Node:
        """The whole pattern; Untranslatable when something in it is unknown to us."""
        node = self._either()
        if self._at < len(self._text):
            raise Untranslatable(self._text)
        return node

    def _peek(self, count: int = 1) -> str:
        return self._text[self._at : self._at + count]

    def _take(self, count: int = 1) -> str:
        taken = self._peek(count)
        if len(taken) < count:
            raise Untranslatable(self._text)
        self._at += count
        return taken

    def _accept(self, text: str) -> bool:
        if self._peek(len(text)) != text:
            return False
        self._at += len(text)
        return True

    def _until(self, end: str) -> str:
        stop = self._text.find(end, self._at)
        if stop < 0:
            raise Untranslatable(self._text)
        taken = self._text[self._at : stop]
        self._at = stop + len(end)
        return taken

    def _either(self) -> Node:
        branches = [self._sequence()]
        while self._accept("|"):
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else Either(tuple(branches))

    def _sequence(self) -> Node:
        nodes: list[Node] = []
        while self._at < len(self._text) and self._peek() not in "|)":
            atom = self._atom()
            if atom is not None:
                nodes.append(self._repeated(atom))
        return nodes[0] if len(nodes) == 1 else Sequence(tuple(nodes))

    def _repeated(self, node: Node) -> Node:
        while (bounds := self._bounds()) is not None:
            manner = self._take() if self._peek() in {"?", "+"} else ""
            node = Repeat(node, bounds[0], bounds[1], manner)
        return node

    def _bounds(self) -> tuple[int, int | None] | None:
        simple: dict[str, tuple[int, int | None]] = {"*": (0, None), "+": (1, None), "?": (0, 1)}
        if self._peek() in simple:
            return simple[self._take()]
        if self._peek() != "{" or not self._text[self._at + 1 : self._at + 2].isdigit():
            return None
        self._take()
        least, comma, most = self._until("}").replace(" ", "").partition(",")
        if not least.isdecimal() or (most and not most.isdecimal()):
            raise Untranslatable(self._text)
        low, high = int(least), int(most) if most else None if comma else int(least)
        if low > _REPEATS_MAX or (high or 0) > _REPEATS_MAX:
            raise Untranslatable(self._text)
        return low, high

    def _atom(self) -> Node | None:
        char = self._take()
        if char == "(":
            return self._group()
        if char == "[":
            return self._class()
        if char == "\\":
            return self._escape()
        if char == ".":
            return Chars(negated=True) if self.dot_all else Chars(_ENDS, negated=True)
        if char in "^$":
            return Edge(char == "$")
        if char in "*+?" and self._strict:
            raise Untranslatable(self._text)
        return _one(ord(char))

    def _group(self) -> Node | None:
        if self._peek() != "?":
            return self._kept("")
        for head in ("?=", "?!", "?<=", "?<!", "?>"):
            if self._accept(head):
                return Around("(" + head, self._close(self._either()))
        self._take()
        if self._accept("<") or self._accept("P<"):
            return self._kept(self._until(">"))
        while (flag := self._take()) not in ":)":
            if flag not in "siu":
                raise Untranslatable(self._text)
            self.dot_all = self.dot_all or flag == "s"
            self.any_case = self.any_case or flag == "i"
        return None if flag == ")" else self._close(self._either())

    def _kept(self, name: str) -> Node:
        self.groups.append(name)
        number = len(self.groups)
        node = self._close(self._either())
        return Group(node, number, name) if self._keeps else node

    def _close(self, node: Node) -> Node:
        if not self._accept(")"):
            raise Untranslatable(self._text)
        return node

    def _escape(self) -> Node:
        if self._peek() in {"b", "B"}:
            return Around("\\" + self._take())
        if self._peek() in {"A", "z", "Z"}:
            return Edge(self._take() != "A")
        if self._accept("Q"):
            return Sequence(tuple(_one(ord(char)) for char in self._until("\\E")))
        return self._escaped_chars()

    def _escaped_chars(self) -> Chars:
        """What may follow a backslash in a class as well as outside."""
        char = self._take()
        known = {"d": _DIGIT, "w": _WORD, "s": _SPACE, "h": Chars(_BLANK), "v": Chars((Item(10, 13), *_ENDS))}
        if char.lower() in known:
            chars = known[char.lower()]
            return chars if char.islower() else Chars(negated=True, parts=(chars,))
        if char in "pP":
            return self._property(negated=char == "P")
        if char in _LETTERS:
            return _one(_LETTERS[char])
        if char == "x":
            return _one(int(self._until("}") if self._accept("{") else self._take(2), 16))
        if char == "u":
            return _one(self._unicode())
        if char == "0":
            return _one(int(self._take(), 8))
        if char.isalnum():
            raise Untranslatable(self._text)
        return _one(ord(char))

    def _unicode(self) -> int:
        """A UTF-16 unit, or the code point of two of them."""
        point = int(self._take(4), 16)
        if 0xD800 <= point < 0xDC00 and self._peek(2) == "\\u":
            self._take(2)
            low = int(self._take(4), 16)
            return 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00)
        return point

    def _property(self, *, negated: bool) -> Chars:
        name = self._until("}") if self._accept("{") else self._take()
        if name.startswith("Is") and name[2:3] in _CATEGORIES and len(name) <= 4:
            name = name[2:]
        if name in _NAMED:
            return Chars(negated=negated, parts=(_NAMED[name],))
        if name[:1] in _CATEGORIES and len(name) <= 2:
            return Chars((Item(category=name, negated=negated),))
        raise Untranslatable(self._text)

    def _class(self) -> Chars:
        negated = self._accept("^")
        items: list[Item] = []
        parts: list[Chars] = []
        first = True
        while first or self._peek() != "]":
            first = False
            if self._accept("["):
                parts.append(self._class())
                continue
            if self._peek(2) == "&&":
                raise Untranslatable(self._text)
            low = self._class_member()
            point = _point(low)
            if point is None or self._peek() != "-" or self._peek(2) in {"-]", "-["}:
                parts.append(low)
                continue
            self._take()
            high = self._class_member()
            end = _point(high)
            if end is None:  # a-\w: the dash stands for itself
                parts += [low, _one(ord("-")), high]
            elif end < point:
                raise Untranslatable(self._text)
            else:
                items.append(Item(point, end))
        self._take()
        return Chars(tuple(items), negated=negated, parts=tuple(parts))

    def _class_member(self) -> Chars:
        char = self._take()
        return self._escaped_chars() if char == "\\" else _one(ord(char))


def _one(point: int) -> Chars:
    return Chars((Item(point, point),))


def _point(chars: Chars) -> int | None:
    """The code point of a class of one."""
    if chars.negated or chars.parts or len(chars.items) != 1:
        return None
    item = chars.items[0]
    return item.low if item.low == item.high and not item.category else None
