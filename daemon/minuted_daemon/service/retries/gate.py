"""Gates in front of the vendors: what one refused is asked about by one session at a time, for all that want the same.

A gate is open until something is refused there. Then no session asks before it is due; the first asks for all, and
the others are told the same refusal without a request to the vendor. Once a request is accepted the gate is open for
all, who come one after another. When it is due is decided in policy.py.

What is refused to the key or its account has one gate for each engine; what is refused to a request as it was made (its
settings, for example) has one for each kind of request.
"""

import asyncio
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from minuted_daemon.errors import MinutedError, Rejected, Unavailable
from minuted_daemon.service.retries.policy import NOBODY_WAITS_S, REFUSED_AGAIN_S, RefusalPolicy, RetryPolicy

ASKED_AGAIN_S = 10.0
"""A refusal is asked about at once, when a client wants that, at most so often."""
SPREAD_S = 0.05
"""So far apart those who waited come when a gate opens."""
SPREAD_LIMIT_S = 5.0
SPREAD_SHARE = 0.25
"""Those who wait look again after it is due, by up to this share of the wait: the first of them asks."""
PROBE_LIMIT_S = 60.0
"""The one that asks for all has an outcome by then; each engine's own limits are below this."""
OF_THE_ACCOUNT = frozenset(
    {"KEY_REJECTED", "QUOTA_EXHAUSTED", "PAYMENT_REQUIRED", "ACCESS_DENIED", "INSECURE_URL", "KEY_MISSING"}
)
"""Reasons that are the same for every request with one key."""

log = structlog.get_logger()


class Gate:
    """One gate. Nothing here waits; see Door."""

    def __init__(self, refusals: RefusalPolicy, failures: RetryPolicy, name: str = "") -> None:
        self.waiting: set[asyncio.Event] = set()
        """Those of who waits here; they are set at each change."""
        self._refusals, self._failures = refusals, failures
        self._name = name
        self._refusal: Rejected | None = None
        self._due_s = 0.0
        self._probing = False
        self._asked_s = float("-inf")

    @property
    def shut(self) -> bool:
        """True from a refusal on until something is accepted."""
        return self._refusal is not None

    @property
    def asking(self) -> bool:
        """True while one is asking for all."""
        return self._probing

    def refusal(self, now_s: float) -> Rejected | None:
        """Return the refusal with when it is asked about again; None while the gate is open."""
        if self._refusal is None:
            return None
        wait_s = PROBE_LIMIT_S if self._probing else max(0.0, self._due_s - now_s)
        return _copy(self._refusal, wait_s)

    def may_ask(self, now_s: float) -> bool:
        """Return whether a request may be made now."""
        return not self.shut or (not self._probing and now_s >= self._due_s)

    def begin(self, now_s: float) -> bool:
        """A request is made, as one may; return whether it is made for all."""
        self._asked_s = now_s
        self._probing = self._probing or self.shut
        return self.shut

    def accepted(self, now_s: float) -> None:
        """A request was accepted."""
        self._refusals.accepted(now_s)
        self._failures.opened(now_s)
        if self._refusal is not None:
            log.info("gate_opened", gate=self._name, reason=self._refusal.reason)
            self._refusal, self._probing = None, False
            self._tell()

    def refused(self, refusal: Rejected, now_s: float, probe: bool) -> None:
        """A request was refused. Those that were under way when the first one was refused tell nothing new."""
        if self.shut and not probe:
            return
        delay_s = self._refusals.refused(now_s)
        # A copy: what was raised holds, by its traceback, the connection that was refused.
        self._refusal, self._probing, self._due_s = _copy(refusal, delay_s), False, now_s + delay_s
        log.warning("gate_shut", gate=self._name, reason=refusal.reason, retry_in_s=round(delay_s, 1))
        self._tell()

    def undecided(self, now_s: float, error: MinutedError) -> None:
        """The one that asked for all got neither, and another may ask."""
        self._probing, self._due_s = False, now_s + self._failures.failed(now_s, error)
        self._tell()

    def hurry(self, now_s: float) -> bool:
        """Have it asked about now; return whether that is done. Not while one asks, nor soon after."""
        if not self.shut or self._probing or now_s - self._asked_s < ASKED_AGAIN_S:
            return False
        self._due_s = now_s
        self._tell()
        return True

    def _tell(self) -> None:
        for event in self.waiting:
            event.set()


class Gates:
    """All gates of the daemon; there are no more than engines and kinds of requests."""

    def __init__(
        self, random: Callable[[], float], now_s: Callable[[], float], again_s: float = REFUSED_AGAIN_S
    ) -> None:
        """`random` gives numbers in [0, 1), `now_s` the wall time. `again_s`: how often a refusal is asked about."""
        self.random, self.now_s, self.again_s = random, now_s, again_s
        self._gates: dict[Hashable, Gate] = {}

    def door(self, role: str, engine: str, request: Hashable = ()) -> "Door":
        """Return a link's way to its engine; `request` tells one kind of request from another."""
        account = self._gate((role, engine), f"{role} {engine}")
        return Door(self, account, self._gate((role, engine, request), f"{role} {engine} request"))

    def policy(self) -> RetryPolicy:
        """Return a policy for what may pass by itself, and no one waits for."""
        return RetryPolicy(self.random, NOBODY_WAITS_S)

    def _gate(self, key: Hashable, name: str) -> Gate:
        if key not in self._gates:
            self._gates[key] = Gate(RefusalPolicy(self.random, self.again_s), self.policy(), name)
        return self._gates[key]


def own_door() -> "Door":
    """Return the way to an engine that no other link uses."""
    return Gates(lambda: 0.0, time.time).door("", "")


@dataclass(frozen=True, slots=True)
class Retries:
    """When a link tries again. `random` gives numbers in [0, 1); `door`: where a refusal is waited for."""

    random: Callable[[], float]
    door: "Door" = field(default_factory=own_door)

    def policy(self) -> RetryPolicy:
        """Return a fresh policy, for one connection that is kept."""
        return RetryPolicy(self.random)


class Door:
    """One link's way to its engine, through the gate of its account and that of its kind of request."""

    def __init__(self, gates: Gates, account: Gate, request: Gate) -> None:
        self._gates = gates
        self._account, self._request = account, request

    @property
    def shut(self) -> bool:
        """True while something is refused here."""
        return any(gate.shut for gate in self._both)

    @property
    def may_ask(self) -> bool:
        """True if a request may be made now."""
        return all(gate.may_ask(_now_s()) for gate in self._both)

    @property
    def probing(self) -> bool:
        """True while one asks for all, or is about to."""
        return any(gate.shut and (gate.asking or gate.may_ask(_now_s())) for gate in self._both)

    @property
    def wall_s(self) -> float:
        """The wall time, seconds since 1970."""
        return self._gates.now_s()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Make a request inside this block.

        Raises the refusal that stands, with when it is asked about again, before the block is entered unless it is this
        one that asks for all; and, with the same, a refusal of this request.
        """
        if not self.may_ask:
            raise self._usage()
        probes = [gate for gate in self._both if gate.begin(_now_s())]
        try:
            yield
        except Rejected as refusal:
            self._refused(refusal, probes)
            raise self._usage() from refusal
        except BaseException as error:
            failure = error if isinstance(error, MinutedError) else Unavailable("ENDED", "the attempt was given up")
            for gate in probes:
                gate.undecided(_now_s(), failure)
            raise
        for gate in self._both:
            gate.accepted(_now_s())

    @contextmanager
    def using(self) -> Iterator[None]:
        """Use a connection that was accepted inside this block, which may be refused after all: see `asking`."""
        try:
            yield
        except Rejected as refusal:
            self._refused(refusal, ())
            raise self._usage() from refusal

    async def pause(self, delay_s: float) -> None:
        """Wait for so long; not longer than until something changes here, if something is refused here."""
        if not self.shut:
            await asyncio.sleep(delay_s)
            return
        waited_with = len(self._account.waiting | self._request.waiting)
        await self._changed(delay_s)
        if not self.shut:
            await asyncio.sleep(self._gates.random() * min(SPREAD_LIMIT_S, SPREAD_S * waited_with))

    def hurry(self) -> bool:
        """Have what is refused here asked about now; return whether that is done."""
        done = [gate.hurry(_now_s()) for gate in self._both]
        return any(done)

    async def decided(self, limit_s: float) -> None:
        """Wait until none asks for all any more; at most so long."""
        until_s = _now_s() + limit_s
        while self.probing and _now_s() < until_s:
            await self._changed(until_s - _now_s())

    @property
    def _both(self) -> tuple[Gate, Gate]:
        return self._account, self._request

    async def _changed(self, limit_s: float) -> None:
        """Wait until something changes here, at most so long."""
        event = asyncio.Event()
        for gate in self._both:
            gate.waiting.add(event)
        try:
            async with asyncio.timeout(max(0.0, limit_s)):
                await event.wait()
        except TimeoutError:
            return
        finally:
            for gate in self._both:
                gate.waiting.discard(event)

    def _usage(self) -> Rejected:
        """Return the refusal that stands longest, with when to look again."""
        found = [refusal for gate in self._both if (refusal := gate.refusal(_now_s())) is not None]
        longest = max(found, key=lambda refusal: refusal.retry_after_s or 0.0)
        wait_s = longest.retry_after_s or 0.0
        return _copy(longest, wait_s + self._gates.random() * min(SPREAD_LIMIT_S, SPREAD_SHARE * wait_s))

    def _refused(self, refusal: Rejected, probes: Sequence[Gate]) -> None:
        own, other = self._both if refusal.reason in OF_THE_ACCOUNT else self._both[::-1]
        own.refused(refusal, _now_s(), own in probes)
        if other in probes:
            other.undecided(_now_s(), Unavailable(refusal.reason, refusal.message))


def _copy(refusal: Rejected, wait_s: float) -> Rejected:
    return Rejected(refusal.reason, refusal.message, wait_s, **refusal.facts)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
