"""Reads what a shell script would write to a file, without running it.

Only what scripts for instances use is understood: echo, printf and cat with here-documents, variables that were given a
plain value, groups in braces, redirection, and pipes into tee.  Everything else writes nothing.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

_HERE: Final = re.compile(r"<<(-?)\s*(['\"\\]?)([A-Za-z_][A-Za-z0-9_]*)['\"]?")
_ASSIGNMENT: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_VARIABLE: Final = re.compile(r"\$(?:\{([A-Za-z_][A-Za-z0-9_]*)\}|([A-Za-z_][A-Za-z0-9_]*))")
_DOCUMENT: Final = "\x00document"
_FILLED: Final = "\x01"  # before the text of a document whose variables are filled in
_LINES_JOINED_MAX: Final = 16  # of one quotation
_SKIPPED: Final = frozenset({"sudo", "then", "do", "else", "!", "exec", "command", "export", "time"})
_ENDS: Final = frozenset({";", "&&", "||", "&", "\n"})


class _Command(msgspec.Struct):
    """A simple command: words, whether what it prints goes on into a pipe, and where else it goes."""

    words: list[str]
    target: str = ""
    append: bool = False
    document: str = ""
    piped: bool = False


def words(line: str) -> list[str]:
    """The words of a line; none of one that cannot be read."""
    try:
        return shlex.split(line)
    except ValueError:
        return []


def joined(arguments: Sequence[str]) -> str:
    """The line of these words."""
    return shlex.join(arguments)


def written(script: str, path: str) -> str:
    """What `path` holds after the script, as far as it can be told."""
    lines, documents = _without_documents(script)
    content = ""
    known: dict[str, str] = {}
    try:
        commands = _Reader(_tokens(lines), documents).read()
    except ValueError:  # a quotation that does not end
        return ""
    output = ""
    for command in commands:
        output = _output(command, known, output)
        for target, append in _targets(command, known):
            if target == path:
                content = content + output if append else output
        if not command.piped:
            output = ""
    return content


def _without_documents(script: str) -> tuple[str, list[tuple[str, bool]]]:
    """The script with a word in the place of each here-document, and the documents: text, whether it is literal."""
    kept: list[str] = []
    documents: list[tuple[str, bool]] = []
    waiting: list[tuple[str, bool, bool]] = []
    body: list[str] = []
    for line in script.replace("\\\n", " ").split("\n"):
        if waiting:
            end, tabs, literal = waiting[0]
            text = line.lstrip("\t") if tabs else line
            if text.strip() == end:
                documents.append(("".join(one + "\n" for one in body), literal))
                waiting.pop(0)
                body = []
            else:
                body.append(text)
            continue
        number = len(documents)
        for at, found in enumerate(_HERE.finditer(line)):
            waiting.append((found[3], found[1] == "-", bool(found[2])))
            line = line.replace(found[0], f" {_DOCUMENT}{number + at} ", 1)  # noqa: PLW2901
        kept.append(line)
    return "\n".join(kept), documents


class _Reader:
    """Takes tokens apart into simple commands, in order; those of a group have the group's target."""

    def __init__(self, tokens: Sequence[str], documents: Sequence[tuple[str, bool]]) -> None:
        self._tokens = tokens
        self._documents = documents
        self._at = 0
        self._found: list[_Command] = []
        self._opened: list[int] = []
        self._current = _Command([])

    def read(self) -> list[_Command]:
        """All of them."""
        while self._at < len(self._tokens):
            word = self._tokens[self._at]
            self._at += 1
            if word in _ENDS or word == "|":
                self._end(piped=word == "|")
            elif word in ("{", "("):
                self._opened.append(len(self._found))
            elif word in ("}", ")"):
                self._close()
            elif word in (">", ">>") and self._at < len(self._tokens):
                self._current.target, self._current.append = self._next(), word == ">>"
            elif word.startswith(_DOCUMENT):
                self._document(word)
            else:
                self._current.words.append(word)
        self._end(piped=False)
        return self._found

    def _next(self) -> str:
        self._at += 1
        return self._tokens[self._at - 1]

    def _end(self, *, piped: bool) -> None:
        self._current.piped = piped
        if self._current.words:
            self._found.append(self._current)
        self._current = _Command([])

    def _close(self) -> None:
        self._end(piped=False)
        group = self._found[self._opened.pop() if self._opened else len(self._found) :]
        after = self._tokens[self._at : self._at + 2]
        if len(after) == 2 and after[0] in (">", ">>"):
            self._at += 2
            _redirect(group, after[1], append=after[0] == ">>")
        elif after[:1] == ["|"]:
            target, append, self._at = _tee(self._tokens, self._at + 1)
            _redirect(group, target, append=append)

    def _document(self, word: str) -> None:
        number = int(word.removeprefix(_DOCUMENT))
        if number < len(self._documents):
            text, literal = self._documents[number]
            self._current.document = text if literal else _FILLED + text


def _tee(tokens: Sequence[str], at: int) -> tuple[str, bool, int]:
    """The file of a tee that begins at a place: its name, whether it appends, and where it ends."""
    end = at
    while end < len(tokens) and tokens[end] not in _ENDS:
        end += 1
    said = [word for word in tokens[at:end] if word not in _SKIPPED]
    if not said or said[0] != "tee":
        return "", False, end
    names = [word for word in said[1:] if not word.startswith("-") and word not in (">", ">>")]
    return names[0] if names else "", "-a" in said or "--append" in said, end


def _redirect(commands: Sequence[_Command], target: str, *, append: bool) -> None:
    for number, command in enumerate(commands):
        if not command.target:
            command.target, command.append = target, append or number > 0


def _tokens(script: str) -> list[str]:
    found: list[str] = []
    for line in _logical_lines(script):
        lexer = shlex.shlex(line, posix=True, punctuation_chars=";<>|&()")
        lexer.whitespace_split = True
        lexer.commenters = "#" if line.lstrip().startswith("#") or " #" in line else ""
        found += [*lexer, "\n"]
    return found


def _logical_lines(script: str) -> list[str]:
    """Lines, joined where a quotation goes on."""
    found: list[str] = []
    held = ""
    for line in script.split("\n"):
        held = f"{held}\n{line}" if held else line
        try:
            shlex.split(held, comments=True)
        except ValueError:
            if held.count("\n") >= _LINES_JOINED_MAX:
                held = ""
            continue
        found.append(held)
        held = ""
    return found


def _output(command: _Command, known: dict[str, str], given: str) -> str:
    """What a command prints; `given` is what comes out of the pipe before it."""
    said = list(command.words)
    while said and (said[0] in _SKIPPED or said[0].startswith("-")):
        said.pop(0)
    while said and (assignment := _ASSIGNMENT.fullmatch(said[0])):
        known[assignment[1]] = _filled(assignment[2], known)
        said.pop(0)
    if not said:
        return ""
    name, arguments = said[0].rpartition("/")[2], [_filled(word, known) for word in said[1:]]
    if name == "echo":
        return _echo(arguments)
    if name == "printf":
        return _printf(arguments)
    if name in ("cat", "tee"):
        document = command.document
        if document.startswith(_FILLED):
            return _filled(document[1:], known)
        return document or given
    return ""


def _targets(command: _Command, known: Mapping[str, str]) -> list[tuple[str, bool]]:
    found = [(_filled(command.target, known), command.append)] if command.target else []
    said = [word for word in command.words if word not in _SKIPPED]
    if said and said[0].rpartition("/")[2] == "tee":
        append = "-a" in said or "--append" in said
        found += [(_filled(word, known), append) for word in said[1:] if not word.startswith("-")]
    return found


def _filled(text: str, known: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: known.get(found[1] or found[2], found[0]), text)


def _echo(arguments: Sequence[str]) -> str:
    said = list(arguments)
    newline, escapes = True, False
    while said and re.fullmatch(r"-[neE]+", said[0]):
        newline = newline and "n" not in said[0]
        escapes = escapes or "e" in said[0]
        said.pop(0)
    text = " ".join(said)
    return (_unescaped(text) if escapes else text) + ("\n" if newline else "")


def _printf(arguments: Sequence[str]) -> str:
    if not arguments:
        return ""
    form, values = _unescaped(arguments[0]), list(arguments[1:])
    once = form.count("%s") + form.count("%d")
    text = ""
    while True:
        line = form
        for _ in range(once):
            line = re.sub("%[sd]", lambda _found: values.pop(0) if values else "", line, count=1)
        text += line.replace("%%", "%")
        if not (once and values):
            return text


def _unescaped(text: str) -> str:
    return text.replace("\\n", "\n").replace("\\t", "\t").replace('\\"', '"')
