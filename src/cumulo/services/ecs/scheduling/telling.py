"""Tells what happens to a service: as events of the service, and to whoever carries them to EventBridge."""

from collections.abc import Callable

from cumulo.base.clock import Clock
from cumulo.services.ecs.scheduling.model import Announcement
from cumulo.services.ecs.scheduling.shelves import Book

Announce = Callable[[str, Announcement], None]
"""Called with the service's ARN, in the turn of the loop in which the records change; must not await."""
REPEAT_SECONDS = 300.0
_LOOKED_AT = 20


class Telling:
    """Writes events; durable with the next commit."""

    def __init__(self, book: Book, clock: Clock, announce: Announce) -> None:
        self._book = book
        self._clock = clock
        self._announce = announce

    def say(self, service_arn: str, name: str, note: str) -> None:
        """An event of a service."""
        self._book.note(service_arn, f"(service {name}) {note}", self._clock.now())

    def complain(self, service_arn: str, name: str, note: str) -> bool:
        """The same, unless it was said a short while ago; whether it was said now."""
        message, now = f"(service {name}) {note}", self._clock.now()
        recent = self._book.story(service_arn)[:_LOOKED_AT]
        if any(one.message == message and now - one.at < REPEAT_SECONDS for one in recent):
            return False
        self._book.note(service_arn, message, now)
        return True

    def act(
        self, service_arn: str, kind: str, name: str, reason: str = "", providers: tuple[str, ...] = ()
    ) -> None:
        """An "ECS Service Action"."""
        action = Announcement(
            detail_type="ECS Service Action",
            kind=kind,
            name=name,
            at=self._clock.now(),
            reason=reason,
            providers=providers,
        )
        self._announce(service_arn, action)

    def announce(self, service_arn: str, announcement: Announcement) -> None:
        """What the plan wants announced."""
        self._announce(service_arn, announcement)
