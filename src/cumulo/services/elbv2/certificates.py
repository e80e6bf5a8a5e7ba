"""What HTTPS and TLS listeners show: the certificates that their ARNs mean, read once and kept for as long as shown."""

from cumulo.base.caller import Caller
from cumulo.base.ports import Certificate as Kept
from cumulo.base.ports import Certificates as Keeper
from cumulo.net import tls
from cumulo.services.elbv2.model import Listener, LoadBalancer
from cumulo.services.elbv2.policies import bounds_of


class NoCertificate(Exception):
    """A certificate of a listener is gone, or cannot be used."""


class Shown:
    """What one listener shows."""

    def __init__(self, listener: Listener, shown: tls.Certificates) -> None:
        self.arns = arns_of(listener)
        self.policy = listener.ssl_policy
        self.tls = shown

    async def renew(self, listener: Listener, balancer: LoadBalancer, keeper: Keeper) -> None:
        """Show a listener's certificates as they are now; connections that are there keep theirs.  NoCertificate."""
        if self.arns == arns_of(listener):
            return
        default, *others = await _read_all(listener, balancer, keeper)
        try:
            self.tls.replace(default, others)
        except ValueError as error:
            raise NoCertificate(str(error)) from None
        self.arns = arns_of(listener)


def arns_of(listener: Listener) -> tuple[str, ...]:
    """The ARNs of a listener's certificates, the default one first."""
    return (listener.certificate, *(one for one in listener.certificates if one != listener.certificate))


async def shown_by(listener: Listener, balancer: LoadBalancer, keeper: Keeper) -> Shown:
    """Read a listener's certificates.  NoCertificate; AwsError when their keeper cannot be asked."""
    default, *others = await _read_all(listener, balancer, keeper)
    oldest, newest, ciphers = bounds_of(listener.ssl_policy)
    alpn = tls.ALPN if listener.protocol == "HTTPS" else ()
    try:
        made = tls.Certificates(default, others, minimum=oldest, maximum=newest, ciphers=ciphers, alpn=alpn)
    except ValueError as error:
        raise NoCertificate(str(error)) from None
    return Shown(listener, made)


async def _read_all(listener: Listener, balancer: LoadBalancer, keeper: Keeper) -> list[tls.Certificate]:
    return [await _read(arn, balancer, keeper) for arn in arns_of(listener)]


async def _read(arn: str, balancer: LoadBalancer, keeper: Keeper) -> tls.Certificate:
    kept = await keeper.certificate(Caller(account=balancer.account, region=balancer.region), arn)
    if kept is None:
        raise NoCertificate(f"there is no certificate {arn}")
    return of_kept(kept)


def of_kept(kept: Kept) -> tls.Certificate:
    """As net wants it."""
    return tls.Certificate(f"{kept.certificate.strip()}\n{kept.chain.strip()}".strip() + "\n", kept.key)
