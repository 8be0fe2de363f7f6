"""The event bus: workers publish, listeners (SSE, WebSocket, webhooks, waiting requests) subscribe."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Final

import structlog

from sdrest.core.background import Background
from sdrest.core.events import Event, JobPreviewed, JobProgressed

#: Events a listener may be behind before it is dropped; it can reconnect and read a snapshot.
MAX_BACKLOG: Final = 256


class Subscription:
    """One listener's events, oldest first. Progress and previews of a job are coalesced: only the newest one waits."""

    def __init__(self, accepts: Callable[[Event], bool], *, is_own: bool = False) -> None:
        self.accepts = accepts
        #: Whether only what this server itself publishes is wanted.
        self.is_own = is_own
        self._events: dict[object, Event] = {}
        self._number = 0
        self._wake = asyncio.Event()
        self.closed = False

    def offer(self, event: Event) -> None:
        """Queue ``event`` if it is wanted; close the subscription of a listener that is too far behind."""
        if self.closed or not self.accepts(event):
            return
        key = self._key(event)
        # A newer progress or preview replaces the waiting one and goes to the end, so that the order of events stays true.
        self._events.pop(key, None)
        if len(self._events) >= MAX_BACKLOG:
            self.close()
            return
        self._events[key] = event
        self._wake.set()

    def _key(self, event: Event) -> object:
        if isinstance(event, JobProgressed | JobPreviewed):
            return (type(event), event.job_id)
        self._number += 1
        return self._number

    def close(self) -> None:
        """End the iteration after the events already queued."""
        self.closed = True
        self._wake.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        while True:
            while self._events:
                yield self._events.pop(next(iter(self._events)))
            if self.closed:
                return
            self._wake.clear()
            await self._wake.wait()


class Broadcast:
    """Hands each event to every subscription; never waits for a listener. Used from the event loop only."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()
        #: Hears what this server publishes, at once; where several servers share a queue, it tells the others.
        self.forward: Callable[[Event], None] = lambda _event: None

    def __len__(self) -> int:
        return len(self._subscriptions)

    def publish(self, event: Event) -> None:
        """Offer something that has happened on this server to all listeners."""
        self.forward(event)
        self._offer(event, self._subscriptions)

    def deliver(self, event: Event) -> None:
        """Offer something that has happened on another server to those who want to hear of that as well."""
        self._offer(event, (item for item in self._subscriptions if not item.is_own))

    def _offer(self, event: Event, subscriptions: Iterable[Subscription]) -> None:
        for subscription in tuple(subscriptions):
            subscription.offer(event)
            if subscription.closed:
                self._subscriptions.discard(subscription)

    def is_wanted(self, event: Event) -> bool:
        """Whether anybody listens to such an event."""
        return any(subscription.accepts(event) for subscription in self._subscriptions if not subscription.is_own)

    def subscribe(
        self, accepts: Callable[[Event], bool] = lambda _event: True, *, is_own: bool = False
    ) -> Subscription:
        """A new subscription, receiving from now on. Subscribe first, then read the snapshot: no event falls between.

        With ``is_own``, only what has happened on this server itself.
        """
        subscription = Subscription(accepts, is_own=is_own)
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Forget a subscription and end its iteration."""
        self._subscriptions.discard(subscription)
        subscription.close()

    def close(self) -> None:
        """End all iterations (at shutdown)."""
        for subscription in tuple(self._subscriptions):
            self.unsubscribe(subscription)


log = structlog.get_logger(__name__)

_PAUSE_SECONDS: Final = 1.0


class Listener:
    """Hands events to ``heard``, one after another; an error in it costs that one event. With ``is_own``, only this server's."""

    def __init__(
        self,
        name: str,
        broadcast: Broadcast,
        heard: Callable[[Event], Awaitable[None]],
        accepts: Callable[[Event], bool] = lambda _event: True,
        *,
        is_own: bool = False,
    ) -> None:
        self._name = name
        self._broadcast = broadcast
        self._heard = heard
        self._accepts = accepts
        self._is_own = is_own
        self.loop = Background(name, self._listen)

    async def _listen(self) -> None:
        while True:
            events = self._broadcast.subscribe(self._accepts, is_own=self._is_own)
            try:
                async for event in events:
                    try:
                        await self._heard(event)
                    except Exception:
                        log.exception("an event was not handled", listener=self._name)
            finally:
                self._broadcast.unsubscribe(events)
            # Too far behind and dropped, or the server is stopping.
            await asyncio.sleep(_PAUSE_SECONDS)
