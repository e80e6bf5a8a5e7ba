"""What a listener of a network load balancer does with a connection."""

from bisect import bisect_right
from itertools import accumulate
from random import Random

from cumulo.net.messages import Link
from cumulo.net.tcp import Pick, Splice
from cumulo.services.elbv2 import attributes
from cumulo.services.elbv2.model import Listener
from cumulo.services.elbv2.pools import Pools
from cumulo.services.elbv2.routing import CONNECT_SECONDS, TRIES

_TLS_IDLE_SECONDS = 350.0


def pick_for(listener: Listener, pools: Pools, source: Random) -> Pick:
    """Chooses a target group by its weight, and joins the client with one of its targets."""
    config = listener.actions[0]["ForwardConfig"]
    groups = [one["TargetGroupArn"] for one in config["TargetGroups"]]
    weights = list(accumulate(one["Weight"] for one in config["TargetGroups"]))
    idle = float(attributes.of_listener(listener).get("tcp.idle_timeout.seconds", _TLS_IDLE_SECONDS))
    sticky_groups = bool(config["TargetGroupStickinessConfig"]["Enabled"])

    def pick(link: Link) -> Splice | None:
        if not weights[-1]:
            return None
        # A client that is to stay with a group draws the same lot every time.
        lot = Random(link.peer).random() if sticky_groups else source.random()
        found = pools.of(groups[bisect_right(weights, lot * weights[-1])])
        if found is None or not found.pool.eligible:
            return None
        return Splice(
            pool=found.pool,
            preferred=found.pool.pick_by(link.peer) if found.is_sticky else None,
            proxy_protocol=found.attributes.get("proxy_protocol_v2.enabled") == "true",
            connect_seconds=CONNECT_SECONDS,
            idle_seconds=idle,
            tries=TRIES,
        )

    return pick
