"""What EC2 is asked for, for a compute environment.  Pure."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

from cumulo.base.instances import InstanceOrder, Template, TemplateName
from cumulo.services.batch.capacity.machines import GENERATION_TAG, SERVICE_TAG, UUID_TAG
from cumulo.services.batch.environment_rules import is_service_linked
from cumulo.services.batch.instance_types import architecture_of
from cumulo.services.batch.launch_template_rules import template_for
from cumulo.services.batch.model import ComputeEnvironment

_PARAMETER: Final = "/aws/service/ecs/optimized-ami/amazon-linux-2023/{}recommended/image_id"
_JOIN: Final = "#!/bin/bash\ncat <<'EOF' >> /etc/ecs/ecs.config\nECS_CLUSTER={}\nECS_ENABLE_SPOT_INSTANCE_DRAINING=true\nEOF\n"
_BOUNDARY: Final = "==BATCH=="
_NO_MIME: Final = "User data of launch template should be in MIME multi-part archive format."


class BadUserData(Exception):
    """A launch template's user data that cannot be added to, with the reason in a sentence."""


def cluster_name(environment: ComputeEnvironment) -> str:
    """The name of the cluster behind an environment: it is called otherwise with a role of one's own, as on AWS."""
    if is_service_linked(environment.service_role):
        return f"AWSBatch-{environment.name}-{environment.uuid}"
    return f"{environment.name}_Batch_{environment.uuid}"


def named_image(environment: ComputeEnvironment) -> str:
    """The machine image that an environment names; empty: the newest, or its launch template's."""
    for one in environment.resources.get("ec2Configuration") or []:
        if one.get("imageIdOverride"):
            return str(one["imageIdOverride"])
    return str(environment.resources.get("imageId") or "")


def image_parameter(environment: ComputeEnvironment) -> str:
    """The parameter of Systems Manager that has the newest image for an environment."""
    resources = environment.resources
    if architecture_of(resources.get("instanceTypes") or []) == "arm64":
        return _PARAMETER.format("arm64/")
    configurations: list[Mapping[str, Any]] = resources.get("ec2Configuration") or [{}]
    return _PARAMETER.format("gpu/" if configurations[0].get("imageType") == "ECS_AL2023_NVIDIA" else "")


def template_name(environment: ComputeEnvironment, kind: str) -> TemplateName | None:
    """The launch template for instances of a type."""
    whole = environment.resources.get("launchTemplate")
    found = template_for(whole, kind) if whole else None
    if found is None:
        return None
    return TemplateName(
        found.get("launchTemplateId") or "",
        found.get("launchTemplateName") or "",
        found.get("version") or "$Default",
    )


def max_price(environment: ComputeEnvironment, on_demand: float) -> str:
    """USD an hour that a spot instance may cost at the most; empty on demand, and where the price is not known."""
    if environment.type != "SPOT" or not on_demand:
        return ""
    return f"{on_demand * bid(environment) / 100:.6f}"


def bid(environment: ComputeEnvironment) -> int:
    """The percentage of the price on demand that spot instances may cost."""
    return int(environment.resources.get("bidPercentage", 100))


def user_data(cluster: str, template: Template | None) -> str:
    """What lets an instance join its cluster, after what its launch template says; in base64.  BadUserData."""
    script = _JOIN.format(cluster.rpartition("/")[2])
    if template is None or not template.user_data:
        return base64.b64encode(script.encode()).decode()
    return base64.b64encode(_with_part(template.user_data, script).encode()).decode()


def _with_part(encoded: str, script: str) -> str:
    """A MIME archive (in base64) with one more script."""
    import email
    from email.mime.multipart import MIMEMultipart
    from email.mime.text import MIMEText

    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BadUserData(_NO_MIME) from error
    given = email.message_from_string(text.lstrip())
    if not given.is_multipart():
        raise BadUserData(_NO_MIME)
    whole = MIMEMultipart("mixed", boundary=_BOUNDARY)
    for part in given.walk():
        if not part.is_multipart():
            whole.attach(part)
    whole.attach(MIMEText(script, "x-shellscript", "us-ascii"))
    return whole.as_string()


def tags_of(environment: ComputeEnvironment) -> dict[str, str]:
    """The tags of an environment's instances: the client's, AWS's own, and those by which a restart knows them again."""
    own = {UUID_TAG: environment.uuid, GENERATION_TAG: str(environment.generation)}
    return {**(environment.resources.get("tags") or {}), SERVICE_TAG[0]: SERVICE_TAG[1], **own}


def orders_of(
    environment: ComputeEnvironment,
    kind: str,
    count: int,
    *,
    turn: int,
    image: str,
    template: TemplateName | None,
    data: str,
    price: str,
) -> list[InstanceOrder]:
    """One order for each subnet that gets some of the instances; `turn` says which subnet is the next."""
    resources: Mapping[str, Any] = environment.resources
    subnets = list(resources.get("subnets") or [""])
    first = turn % len(subnets)
    in_turn = [*subnets[first:], *subnets[:first]][:count]
    share, rest = divmod(count, len(in_turn))
    return [
        InstanceOrder(
            account=environment.account,
            region=environment.region,
            kind=kind,
            count=share + (number < rest),
            image=image,
            subnet=subnet,
            security_groups=tuple(resources.get("securityGroupIds") or ()),
            profile=str(resources.get("instanceRole") or ""),
            key=str(resources.get("ec2KeyPair") or ""),
            placement_group=str(resources.get("placementGroup") or ""),
            spot=environment.type == "SPOT",
            max_price=price,
            user_data=data,
            template=template,
            tags=tags_of(environment),
        )
        for number, subnet in enumerate(in_turn)
    ]
