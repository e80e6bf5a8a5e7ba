"""Every setting, with one line and one sentence each."""

from pathlib import Path

import msgspec

from cumulo.base.caller import DEFAULT_ACCOUNT, DEFAULT_REGION


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How one cloud is run.  Each can be given as `cumulo up --name` or as CUMULO_NAME (dashes for underscores)."""

    host: str = "127.0.0.1"  # the address to listen on
    port: int = 4566  # the port to listen on; 0 takes a free one
    tls_port: int | None = (
        None  # the port for TLS; 0 takes a free one; None: 4567, opened for the first domain name
    )
    data: Path | None = None  # the folder that keeps everything; None: ~/.local/share/cumulo
    ephemeral: bool = False  # keep nothing: a temporary folder, removed at the end
    engine: str = "auto"  # what runs containers: auto, local, docker, or none
    sandbox: str = "auto"  # what runs functions: auto, namespaces, or plain (no isolation)
    mode: str = "local"  # local: any key is accepted; shared: signatures are verified
    account: str = DEFAULT_ACCOUNT  # the account of keys that name none
    region: str = DEFAULT_REGION  # the region of requests that name none
    concurrency: int = 1000  # concurrent executions of an account in a region
    idle_seconds: float = 600.0  # how long an idle execution environment is kept
    overcommit: float = (
        1.0  # how many times this machine's processors and memory may be promised to tasks and instances
    )
    pace: float = 1.0  # how many times faster than AWS's the waiting times of alarms, scaling and Spot pass
    prices: Path | None = None  # a price file, or a folder of them, instead of the one that is shipped
    companions: dict[
        str, str
    ] = {}  # endpoints for services that are not ours, instead of moto: {"s3": "http://..."}
    runtime_images: dict[
        str, str
    ] = {}  # images for runtimes this machine lacks: {"ruby3.3": "registry/image:tag"}
    log_level: str = "info"  # of the server's own log
