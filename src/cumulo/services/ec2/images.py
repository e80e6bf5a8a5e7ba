"""Which machine images have an ECS agent, by their names."""

import re
from typing import Final

from cumulo.base.instances import SeenImage

_OPTIMISED: Final = re.compile(
    r"(amzn2?|al20[0-9]{2})-ami-(.*-)?ecs-.*|bottlerocket-aws-ecs-.*|.*ecs[-_]optimized.*", re.IGNORECASE
)


def is_optimised(image: SeenImage | None) -> bool:
    """Whether it is one of the ECS-optimised images, or a copy that kept the name.

    Windows is not: nothing of it runs here.
    """
    return image is not None and image.platform != "windows" and bool(_OPTIMISED.fullmatch(image.name))


def may_have_agent(image: SeenImage | None) -> bool:
    """Whether an agent may be in it, so that user data with its settings is believed.

    An image of one's own can have any name; only Windows cannot.
    """
    return image is None or image.platform != "windows"
