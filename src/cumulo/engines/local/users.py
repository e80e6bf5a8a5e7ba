"""Who a process in a container is: `user[:group]` looked up in the image's own files, by Docker's rules."""

import msgspec

_ID_MAX = 2**31 - 1


class UnknownUser(Exception):
    """The image has no such user or group; the message says which."""


class User(msgspec.Struct, frozen=True):
    """What a process is given."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


def look_up(wanted: str, passwd: str, group: str) -> User:
    """The user that `wanted` (name, uid, name:group, uid:gid; empty: root) means.  UnknownUser.

    A number that the files do not know is taken as it is.  A group that is given replaces all others.
    """
    name, _, group_name = wanted.partition(":")
    user = _user(name or "0", passwd)
    if group_name:
        return User(user.uid, _group(group_name, group), (), user.home)
    names = {fields[0] for fields in _rows(passwd, 7) if _number(fields[2]) == user.uid}
    names = (names | {name}) - {""}
    further = sorted(
        {
            gid
            for fields in _rows(group, 4)
            if (gid := _number(fields[2])) is not None and names & set(fields[3].split(","))
        }
    )
    return User(user.uid, user.gid, tuple(further), user.home)


def _user(name: str, passwd: str) -> User:
    number = _number(name)
    for fields in _rows(passwd, 7):
        uid, gid = _number(fields[2]), _number(fields[3])
        if (
            uid is not None
            and gid is not None
            and (fields[0] == name or (number is not None and uid == number))
        ):
            return User(uid, gid, (), fields[5] or "/")
    if number is None:
        raise UnknownUser(f"no user {name} in the image's /etc/passwd")
    return User(number, 0)


def _group(name: str, group: str) -> int:
    number = _number(name)
    for fields in _rows(group, 4):
        gid = _number(fields[2])
        if gid is not None and (fields[0] == name or (number is not None and gid == number)):
            return gid
    if number is None:
        raise UnknownUser(f"no group {name} in the image's /etc/group")
    return number


def _rows(text: str, fields_count: int) -> list[list[str]]:
    rows = [line.split(":") for line in text.splitlines() if line and not line.startswith("#")]
    return [row for row in rows if len(row) >= fields_count]


def _number(text: str) -> int | None:
    if text.isascii() and text.isdecimal() and int(text) <= _ID_MAX:
        return int(text)
    return None
