"""What a compute environment may say of launch templates.  Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from cumulo.services.batch.errors import unbuilt, unfit
from cumulo.services.batch.instance_types import covers
from cumulo.services.batch.scheduling.kinds import BUNDLES

OVERRIDES_MAX: Final = 10
_VERSION: Final = re.compile(r"|[0-9]{1,18}|\$Default|\$Latest")
_NEITHER: Final = "One of LaunchTemplateId and LaunchTemplateName or LaunchTemplate.Overrides is required."
_BOTH: Final = "LaunchTemplate.overrides should have either LaunchTemplateId or LaunchTemplateName"

Template = Mapping[str, Any]


def check_template(operation: str, template: Template, instance_types: Sequence[str]) -> None:
    """ClientException for a launch template that cannot be used with these instance types."""
    _check_userdata_type(operation, template)
    named = _names(template)
    overrides = template.get("overrides") or []
    if named > 1 or not (named or overrides):
        raise unfit(_NEITHER)
    _check_version(template)
    if len(overrides) > OVERRIDES_MAX:
        raise unfit(f"LaunchTemplate.overrides size cannot be greater than {OVERRIDES_MAX}")
    seen: list[str] = []
    for override in overrides:
        _check_override(operation, override, instance_types)
        for name in override["targetInstanceTypes"]:
            if any(_overlap(name, other) for other in seen):
                raise unfit("LaunchTemplate.overrides have duplicate targetInstanceTypes")
            seen.append(name)


def template_for(template: Template, kind: str) -> Template | None:
    """The template, or the override, that instances of a type are launched with; None: none."""
    for override in template.get("overrides") or []:
        if covers(override["targetInstanceTypes"], kind):
            return dict(override)
    return template if _names(template) else None


def _check_override(operation: str, override: Template, instance_types: Sequence[str]) -> None:
    _check_userdata_type(operation, override)
    if _names(override) != 1:
        raise unfit(_BOTH)
    _check_version(override)
    targets = override.get("targetInstanceTypes") or []
    if not targets:
        raise unfit("LaunchTemplate.overrides.targetInstanceTypes[] is required")
    foreign = [name for name in targets if name in BUNDLES or not covers(instance_types, name)]
    if foreign:
        raise unfit(
            f"LaunchTemplate.overrides:[{', '.join(foreign)}] have targetInstanceTypes that do not exist in "
            "computeResource.InstanceTypes."
        )


def _check_version(template: Template) -> None:
    if not _VERSION.fullmatch(template.get("version") or ""):
        raise unfit("LaunchTemplateVersion must be either empty or a number or $Default or $Latest")


def _check_userdata_type(operation: str, template: Template) -> None:
    if template.get("userdataType"):
        raise unbuilt(operation, "userdataType belongs to Batch on EKS")


def _names(template: Template) -> int:
    return bool(template.get("launchTemplateId")) + bool(template.get("launchTemplateName"))


def _overlap(one: str, other: str) -> bool:
    if one == other:
        return True
    (family, _, size), (second, _, second_size) = one.partition("."), other.partition(".")
    return family == second and not (size and second_size)
