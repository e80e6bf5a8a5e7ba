"""A cloud inside this process, on a thread of its own, for tests.

with LocalCloud() as cloud:
    cloud.client("lambda").list_functions()
"""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from cumulo.app import Cloud
from cumulo.base.log import set_up
from cumulo.settings import Settings

T = TypeVar("T")
START_SECONDS_MAX = 60.0


class LocalCloud:
    """An ephemeral cloud on a free port of loopback; give `settings` to change that."""

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings(port=0, ephemeral=True, log_level="error")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cumulo", daemon=True)
        self._cloud: Cloud | None = None

    def __enter__(self) -> "LocalCloud":
        self._thread.start()
        self._cloud = self._run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._run(self.cloud.stop())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    @property
    def cloud(self) -> Cloud:
        """The running cloud."""
        assert self._cloud is not None, "use it as a context manager"
        return self._cloud

    @property
    def endpoint(self) -> str:
        """What AWS_ENDPOINT_URL would be."""
        return self.cloud.endpoint

    def client(
        self, service: str, *, account: str = "test", region: str | None = None, **options: Any
    ) -> Any:
        """A boto3 client of this cloud; a 12-digit `account` works in that account."""
        import boto3

        keys = {"aws_access_key_id": account, "aws_secret_access_key": "test"}
        where = region or self.settings.region
        return boto3.client(service, endpoint_url=self.endpoint, region_name=where, **(keys | options))

    def reset(self) -> None:
        """Empty everything, companions too."""
        self._run(self.cloud.reset())

    async def _start(self) -> Cloud:
        set_up(self.settings.log_level)
        cloud = Cloud(self.settings)
        await cloud.start()
        return cloud

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_SECONDS_MAX)
