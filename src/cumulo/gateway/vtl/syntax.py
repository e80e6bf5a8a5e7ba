"""What a mapping template is made of, once it has been read."""

import msgspec


class Literal(msgspec.Struct, frozen=True):
    """A number, a boolean, null, or a text without references."""

    value: str | int | float | bool | None


class Interpolation(msgspec.Struct, frozen=True):
    """A text in double quotes with references or directives in it."""

    block: "Block"


class ListLiteral(msgspec.Struct, frozen=True):
    """`[a, b]`."""

    items: tuple["Expression", ...]


class MapLiteral(msgspec.Struct, frozen=True):
    """`{"k": v}`."""

    pairs: tuple[tuple["Expression", "Expression"], ...]


class Range(msgspec.Struct, frozen=True):
    """`[1..5]`, both ends included, up or down."""

    first: "Expression"
    last: "Expression"


class Property(msgspec.Struct, frozen=True):
    """`.name`."""

    name: str


class Call(msgspec.Struct, frozen=True):
    """`.name(a, b)`."""

    name: str
    arguments: tuple["Expression", ...]


class Index(msgspec.Struct, frozen=True):
    """`[0]`, `['name']`."""

    key: "Expression"


Step = Property | Call | Index


class Reference(msgspec.Struct, frozen=True):
    """`$name` and what follows; `source` is how it is written."""

    name: str
    steps: tuple[Step, ...]
    source: str


class Binary(msgspec.Struct, frozen=True):
    """Two sides and what is between them; words are signs already (`eq` is `==`)."""

    sign: str
    left: "Expression"
    right: "Expression"


class Not(msgspec.Struct, frozen=True):
    """`!a`."""

    of: "Expression"


Expression = Literal | Interpolation | ListLiteral | MapLiteral | Range | Reference | Binary | Not


class Text(msgspec.Struct, frozen=True):
    """What is printed as it is."""

    text: str


class Print(msgspec.Struct, frozen=True):
    """A reference amid text; `before` are backslashes that are left of those in front of it."""

    at: int
    reference: Reference
    before: str


class Set(msgspec.Struct, frozen=True):
    """`#set($target = value)`."""

    at: int
    target: Reference
    value: Expression


class If(msgspec.Struct, frozen=True):
    """`#if(c) ... #elseif(c) ... #else ... #end`."""

    at: int
    branches: tuple[tuple[Expression, "Block"], ...]
    otherwise: "Block"


class Foreach(msgspec.Struct, frozen=True):
    """`#foreach($name in items) ... #end`."""

    at: int
    name: str
    items: Expression
    block: "Block"


class Define(msgspec.Struct, frozen=True):
    """`#define($name) ... #end`: rendered wherever $name is printed."""

    name: str
    block: "Block"


class Break(msgspec.Struct, frozen=True):
    """`#break`."""


class Stop(msgspec.Struct, frozen=True):
    """`#stop`."""


Statement = Text | Print | Set | If | Foreach | Define | Break | Stop
Block = tuple[Statement, ...]
