"""What an instance's user data says to the ECS agent.  It is read, never run.

shell script     what echo, printf and cat write to /etc/ecs/ecs.config (redirected, or through tee)
cloud-config     write_files, runcmd and bootcmd
MIME             any of these in its parts
TOML             Bottlerocket's settings.ecs
"""

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from typing import Any, Final

from cumulo.base.instances import AgentSettings
from cumulo.services.ec2 import shell

TEXT_BYTES_MAX: Final = 32 * 1024  # AWS allows 16 KiB
PARTS_MAX: Final = 32
CONFIG: Final = "/etc/ecs/ecs.config"
_TRUE: Final = ("true", "1", "t", "yes")


def settings_of(user_data: str) -> AgentSettings | None:
    """The agent's settings in user data (base64); None when it writes none."""
    text = _text(user_data)
    toml = _toml(text)
    if toml is not None:
        return _from_toml(toml)
    written: dict[str, str] = {}
    for part in _parts(text):
        written |= _variables(part)
    return _from_variables(written) if written else None


def _text(user_data: str) -> str:
    try:
        data = base64.b64decode(user_data, validate=False)
    except (binascii.Error, ValueError):
        data = user_data.encode()
    if data[:2] == b"\x1f\x8b":
        try:
            data = zlib.decompressobj(31).decompress(data, TEXT_BYTES_MAX)
        except zlib.error:
            return ""
    return data[:TEXT_BYTES_MAX].decode(errors="replace").replace("\r\n", "\n")


def _parts(text: str) -> list[str]:
    head = text.lstrip()[:1024].lower()
    if not (head.startswith(("content-type:", "mime-version:"))):
        return [text]
    import email

    found: list[str] = []
    for part in list(email.message_from_string(text.lstrip()).walk())[:PARTS_MAX]:
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes) and not part.is_multipart():
            found.append(payload.decode(errors="replace"))
    return found


def _variables(part: str) -> dict[str, str]:
    if part.lstrip().startswith("#cloud-config"):
        return _of_cloud_config(part)
    return _of_config(shell.written(part, CONFIG))


def _of_config(text: str) -> dict[str, str]:
    """The variables of an ecs.config."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().removeprefix("export ").partition("=")
        if equals and name.strip().startswith("ECS_"):
            found[name.strip()] = _unquoted(value.strip())
    return found


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value


def _of_cloud_config(text: str) -> dict[str, str]:
    import yaml  # type: ignore[import-untyped]

    try:
        config = yaml.safe_load(text)
    except yaml.YAMLError:
        return {}
    if not isinstance(config, dict):
        return {}
    found: dict[str, str] = {}
    for name in ("bootcmd", "runcmd"):
        for command in _list(config.get(name)):
            words = (
                [str(word) for word in command if isinstance(word, str | int)]
                if isinstance(command, list)
                else []
            )
            line = shell.joined(words) if words else command
            if isinstance(line, str):
                found |= _of_config(shell.written(_unwrapped(line), CONFIG))
    for entry in _list(config.get("write_files")):
        if isinstance(entry, dict) and entry.get("path") == CONFIG:
            found |= _of_config(_content(entry))
    return found


def _list(found: object) -> list[Any]:
    return found if isinstance(found, list) else []


def _unwrapped(line: str) -> str:
    """The script of `sh -c script`, else the line."""
    words = shell.words(line)
    if len(words) == 3 and words[0].rpartition("/")[2] in ("sh", "bash") and words[1] in ("-c", "-lc"):
        return words[2]
    return line


def _content(entry: Mapping[str, Any]) -> str:
    content = entry.get("content")
    encoding = str(entry.get("encoding", ""))
    if encoding in ("b64", "base64") and isinstance(content, str | bytes):
        try:
            return base64.b64decode(content).decode(errors="replace")
        except (binascii.Error, ValueError):
            return ""
    return content if isinstance(content, str) else ""


def _toml(text: str) -> Mapping[str, Any] | None:
    if "settings" not in text:
        return None
    import tomllib

    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
    settings = found.get("settings")
    return settings if isinstance(settings, dict) else None


def _from_toml(settings: Mapping[str, Any]) -> AgentSettings | None:
    ecs = settings.get("ecs")
    if not isinstance(ecs, dict):
        return None
    return AgentSettings(
        cluster=str(ecs.get("cluster", "")),
        attributes=_strings(ecs.get("instance-attributes")),
        reserved_mib=_number(str(ecs.get("reserved-memory", ""))),
        spot_draining=bool(ecs.get("enable-spot-instance-draining")),
    )


def _from_variables(said: Mapping[str, str]) -> AgentSettings:
    return AgentSettings(
        cluster=said.get("ECS_CLUSTER", ""),
        attributes=_json(said.get("ECS_INSTANCE_ATTRIBUTES", "")),
        tags=_json(said.get("ECS_CONTAINER_INSTANCE_TAGS", "")),
        reserved_mib=_number(said.get("ECS_RESERVED_MEMORY", "")),
        spot_draining=said.get("ECS_ENABLE_SPOT_INSTANCE_DRAINING", "").lower() in _TRUE,
        propagate_tags=said.get("ECS_CONTAINER_INSTANCE_PROPAGATE_TAGS_FROM", "") == "ec2_instance",
    )


def _json(text: str) -> dict[str, str]:
    try:
        return _strings(json.loads(text))
    except ValueError:
        return {}


def _strings(found: object) -> dict[str, str]:
    if not isinstance(found, dict):
        return {}
    return {str(name): "" if value is None else str(value) for name, value in found.items()}


def _number(text: str) -> int:
    return int(text) if text.isdigit() and len(text) < 10 else 0
