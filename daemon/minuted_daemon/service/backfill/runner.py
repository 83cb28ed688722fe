"""Texts that ended sessions are still owed: their transcriber was away, or refused, until there was no more time.

The audio of each turn that was stored without its text, or with the first part of it only, is sent again once the
transcriber can be had, and the text becomes a revision of the turn. How an attempt is made is asking.py's, which audio
belongs to a turn owed_audio.py's, how long to wait retry.py's.

What is owed is read from the store each time, and nothing about it is kept on disk: the next start finds it again.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count

import structlog

from minuted_daemon.core.coverage import Claim
from minuted_daemon.core.events import Attribution, TextSource, UtteranceId
from minuted_daemon.core.records import (
    Health,
    IntervalId,
    IntervalKind,
    IntervalRecord,
    Link,
    SessionId,
    SessionRecord,
    SessionSettings,
    TurnId,
    TurnLife,
)
from minuted_daemon.core.samples import Sample, seconds
from minuted_daemon.core.suspicion.judge import Suspicion
from minuted_daemon.core.words import has_words, storable
from minuted_daemon.errors import MinutedError, Rejected, Unavailable, VendorError, WrongState
from minuted_daemon.ports.engines import Transcriber
from minuted_daemon.ports.spool import Spool, Spools
from minuted_daemon.ports.store import OwedTurn, Store
from minuted_daemon.service.backfill.attempts import BackfillState
from minuted_daemon.service.backfill.audio import owed_audio
from minuted_daemon.service.backfill.request import Answer, BackfillConnection
from minuted_daemon.service.connections.retry_request import RefusedLink
from minuted_daemon.service.connections.transcriber_renewal import OPEN_LIMIT_S
from minuted_daemon.service.coverage import lacks_text
from minuted_daemon.service.engines.catalog import NONE
from minuted_daemon.service.engines.usage import EngineUsage
from minuted_daemon.service.persistence.publisher import ChangePublisher
from minuted_daemon.service.retries.gate import Door, Gates
from minuted_daemon.service.retries.policy import RetryPolicy
from minuted_daemon.service.task_groups import deadline

PAGE = 50
"""Turns that are read at once."""
EVERYTHING_FAILS = 3
"""So many different turns that failed with no answer between are the transcriber's fault, not theirs."""
TRIAL_WAIT_S = 4.0
"""The first wait then; each is twice the one before, up to REFUSED_AGAIN_S."""

log = structlog.get_logger()


@dataclass(slots=True)
class _EngineBackoff:
    """How one kind of transcriber was met last: all sessions that want it wait in front of the same door.

    `way` leads to the gate that live sessions wait at, too, where it refuses. `told` and `why`: the last reason, and a
    sentence about it.
    """

    policy: RetryPolicy
    way: Door
    opens_s: float = 0.0
    refused: bool = False
    told: str = ""
    why: str = ""
    failing: set[TurnId] = field(default_factory=set)  # turns that failed with no answer between
    trials: int = 0  # turns that failed since that was too many

    def answered(self) -> None:
        """An utterance was answered."""
        self.failing.clear()
        self.trials = 0

    def failed(self, turn: TurnId) -> bool:
        """An utterance failed; tell whether everything does."""
        if len(self.failing) < EVERYTHING_FAILS:
            self.failing.add(turn)
        everything = len(self.failing) >= EVERYTHING_FAILS
        self.trials += everything
        return everything


class Backfill:
    """One for the daemon: one session at a time, over one connection."""

    def __init__(
        self,
        spools: Spools,
        store: Store,
        publisher: ChangePublisher,
        transcriber: Callable[[SessionRecord, EngineUsage], Awaitable[Transcriber]],
        gates: Gates,
        new_id: Callable[[], str],
    ) -> None:
        """`transcriber` gives a session's own, with its substitute behind it."""
        self._spools = spools
        self._store = store
        self._publisher = publisher
        self._transcriber = transcriber
        self._gates = gates
        self._new_id = new_id
        self._debts: dict[SessionId, BackfillState] = {}
        self._doors: dict[tuple[str, str, tuple[str, ...]], _EngineBackoff] = {}
        self._one_at_a_time = asyncio.Lock()
        self._waiting: set[asyncio.Task[None]] = set()
        self._stopped = False

    async def paid(self, record: SessionRecord) -> bool:
        """Come back when the ended session is owed nothing any more; give False if it still is when the daemon ends.

        To be awaited in a task of its own, which `stop` cancels. Raises StoreError, NotFound (SESSION_NOT_FOUND).
        """
        if record.settings.transcriber == NONE:
            return True
        debt = self._debts.setdefault(record.id, BackfillState())
        door = self._door(record.settings)
        told = False
        while (due_s := await self._due_s(record.id, debt)) is not None:
            if self._stopped:
                return False
            if not told:
                log.info("texts_owed", session=record.name, session_id=record.id)
                told = True
            await self._serve_at(max(due_s, door.opens_s), record, debt, door)
            await self._tell_losses(record, debt)
        await self._tell_losses(record, debt)
        if told:
            log.info(
                "texts_paid",
                session=record.name,
                session_id=record.id,
                texts=debt.texts,
                given_up=len(debt.given_up),
            )
        return True

    async def paid_live(self, record: SessionRecord, before: Sample, usage: EngineUsage) -> bool:
        """The same for a session that goes on after a restart, of what it was owed then: of turns that end `before`.

        Its own links see to what came later, and it tells itself what its spool loses.
        """
        debt = self._debts.setdefault(record.id, BackfillState())
        debt.before, debt.live = before, usage
        try:
            return await self.paid(record)
        finally:
            debt.before = debt.live = None

    def is_owed(self, session_id: SessionId) -> Callable[[Claim], bool]:
        """Tell of claims on an ended session's audio whether a text for them may still come."""
        spool, debt = self._spools.spools.get(session_id), self._debts.get(session_id, _NOTHING)

        def owed(claim: Claim) -> bool:
            there = spool is not None and claim.start >= spool.begin
            return there and lacks_text(claim) and (claim.start, claim.end) not in debt.given_up

        return owed

    def refused(self) -> list[RefusedLink]:
        """Return what is refused to ended sessions, once for each kind of transcriber."""

        def link_now(door: _EngineBackoff) -> Link:
            return Link(Health.REFUSED, door.told, door.why) if door.way.shut else Link(Health.UP)

        return [
            RefusedLink(SessionId(""), "", "transcriber", key[0], door.way, partial(link_now, door))
            for key, door in self._doors.items()
            if door.refused and self._waiting
        ]

    def forget(self, session_id: SessionId, start: Sample, end: Sample) -> None:
        """Somebody wants [start, end) of an ended session forgotten: nothing of it is asked for any more."""
        if session_id in self._spools.spools:
            self._debts.setdefault(session_id, BackfillState()).unwanted.append((start, end))

    def close(self, session_id: SessionId) -> None:
        """The session's audio is gone, and with it all that was known of what it is owed."""
        self._debts.pop(session_id, None)

    def stop(self) -> None:
        """Ask for nothing any more."""
        self._stopped = True
        for task in self._waiting:
            task.cancel()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _door(self, settings: SessionSettings) -> _EngineBackoff:
        key = settings.transcriber, settings.fallback, settings.languages
        if key not in self._doors:
            way = self._gates.door("transcriber", settings.transcriber, settings.languages)
            self._doors[key] = _EngineBackoff(self._gates.policy(), way)
        return self._doors[key]

    async def _unpaid(self, session_id: SessionId, debt: BackfillState) -> AsyncGenerator[OwedTurn, None]:
        """Return the turns that lack their text and may still get it, by start."""
        spool = self._spools.spools.get(session_id)
        token: str | None = None
        while spool is not None:
            page = await self._store.owed_turns(session_id, PAGE, token)
            for owed in page.items:
                turn = owed.stored.turn
                if turn.start >= spool.begin and debt.wants(turn):
                    yield owed
            token = page.next_token
            if token is None:
                return

    async def _due_s(self, session_id: SessionId, debt: BackfillState) -> float | None:
        """Return when the first turn may be asked for; None if none may."""
        earliest: float | None = None
        async with aclosing(self._unpaid(session_id, debt)) as unpaid:
            async for owed in unpaid:
                due_s = debt.due_s(owed.stored.turn)
                earliest = due_s if earliest is None else min(earliest, due_s)
                if earliest <= _now_s():
                    break
        return earliest

    async def _serve_at(self, at_s: float, record: SessionRecord, debt: BackfillState, door: _EngineBackoff) -> None:
        task: asyncio.Task[None] | None = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            await door.way.pause(max(0.0, at_s - _now_s()))
            if door.refused and door.way.may_ask:
                door.opens_s, door.refused = 0.0, False
            async with self._one_at_a_time:
                if door.opens_s <= _now_s():
                    await self._serve(record, debt, door)
        finally:
            self._waiting.discard(task)

    async def _serve(self, record: SessionRecord, debt: BackfillState, door: _EngineBackoff) -> None:
        """Ask for all that is due, over one connection; note why that failed, if it did."""
        failure: MinutedError
        try:
            await self._ask(record, debt, door)
        except (VendorError, WrongState) as error:
            failure = error
        else:
            await self._note_sent(record, debt)
            return
        await self._note_sent(record, debt)
        under_way, debt.under_way = debt.under_way, None
        if under_way is not None and not isinstance(failure, Rejected):
            debt.failed(under_way, _now_s())
        delay_s = self._gates.again_s if isinstance(failure, WrongState) else door.policy.failed(_now_s(), failure)
        door.opens_s, door.refused = _now_s() + delay_s, isinstance(failure, Rejected)
        if not door.refused or door.told != failure.reason:
            log.warning(
                "texts_not_paid",
                session=record.name,
                session_id=record.id,
                reason=failure.reason,
                failures=door.policy.failures,
                retry_in_s=round(delay_s, 2),
            )
        door.told, door.why = failure.reason, failure.message

    async def _ask(self, record: SessionRecord, debt: BackfillState, door: _EngineBackoff) -> None:
        """Raises VendorError, WrongState (KEY_MISSING, ENGINE_MISSING), StoreError, NotFound (SESSION_NOT_FOUND)."""
        spool = self._spools.spools.get(record.id)
        if spool is None:
            return
        # The same over all connections: it knows whether its substitute has taken over.
        if debt.transcriber is None:
            debt.transcriber = await self._transcriber(record, debt.usage)
            debt.suspicion = Suspicion(record.settings.languages, diarized=record.settings.diarizer != NONE)
        used = (await self._store.resume_point(record.id)).generation or 0
        async with deadline(
            OPEN_LIMIT_S, "OPEN_TIMEOUT", f"the transcriber did not answer within {OPEN_LIMIT_S:.0f} s"
        ):
            stream = await debt.transcriber.open(record.settings.languages)
        try:
            door.policy.opened(_now_s())
            door.told = ""
            asking = BackfillConnection(stream, spool)
            async with asking.under_way(), aclosing(self._unpaid(record.id, debt)) as unpaid:
                utterances = count(used + 1)
                async for owed in unpaid:
                    turn = owed.stored.turn
                    if debt.due_s(turn) > _now_s():
                        continue
                    if not asking.has_time_for(turn.end - turn.start):
                        break
                    await self._ask_for(owed, asking, UtteranceId(next(utterances)), spool, debt, door)
        finally:
            await stream.close()

    async def _ask_for(
        self,
        owed: OwedTurn,
        asking: BackfillConnection,
        utterance: UtteranceId,
        spool: Spool,
        debt: BackfillState,
        door: _EngineBackoff,
    ) -> None:
        """Raises VendorError, also where the transcriber fails at everything: so long nothing is held against turns."""
        turn = owed.stored.turn
        audio = await owed_audio(spool, owed)
        if audio is None:
            debt.give_up(turn)
            return
        debt.under_way = turn
        answer = await asking.text(utterance, audio.start, audio.end)
        debt.under_way = None
        if answer.text is None:
            await self._failed(owed, answer, utterance, debt, door)
            return
        door.answered()
        heard = turn.attribution is not Attribution.UNKNOWN or bool(turn.text) or has_words(answer.said)
        if has_words(answer.text):
            await self._revise(owed, answer.text, TextSource.COMPLETED, utterance, debt)
        elif heard or not audio.whole:  # there were words in it, or may have been in what is gone
            repeats = debt.transcriber is not None and debt.transcriber.capabilities.repeats
            await self._keep(owed, debt.wordless(turn, _now_s(), answer.said, repeats), utterance, debt)
        else:
            await self._revise(owed, "", TextSource.COMPLETED, utterance, debt)

    async def _failed(
        self, owed: OwedTurn, answer: Answer, utterance: UtteranceId, debt: BackfillState, door: _EngineBackoff
    ) -> None:
        turn = owed.stored.turn
        if not answer.reason or not door.failed(turn.id):
            await self._keep(owed, debt.failed(turn, _now_s(), answer.said), utterance, debt)
            return
        await self._keep(owed, debt.tried(turn, _now_s(), answer.said), utterance, debt)
        wait_s = min(TRIAL_WAIT_S * 2.0 ** min(door.trials - 1, 20), self._gates.again_s)
        raise Unavailable(answer.reason, "the transcriber fails at every utterance", retry_after_s=wait_s)

    async def _keep(self, owed: OwedTurn, said: str | None, utterance: UtteranceId, debt: BackfillState) -> None:
        """A turn that is given up keeps what was said of it, if that is more than it has."""
        if said is not None and has_words(said) and len(said) > len(owed.stored.turn.text):
            await self._revise(owed, said, TextSource.PROVISIONAL, utterance, debt)

    async def _revise(
        self, owed: OwedTurn, text: str, source: TextSource, utterance: UtteranceId, debt: BackfillState
    ) -> None:
        """Store the text; without one there is no such turn."""
        turn = owed.stored.turn
        answered = replace(
            turn,
            text=storable(text.strip()),
            text_source=source,
            life=TurnLife.FINAL if text else TurnLife.RETRACTED,
            generation=utterance,
        )
        answered = debt.judged(answered)
        if not debt.is_unwanted(turn) and await self._publisher.revise(
            answered, owed.stored.session_name, owed.stored.speakers
        ):
            if source is TextSource.COMPLETED:
                debt.attempts.pop(turn.id, None)
                debt.texts += 1
        else:
            await self._store.session(turn.session_id)  # if it was deleted, nothing more of it is asked for

    async def _tell_losses(self, record: SessionRecord, debt: BackfillState) -> None:
        """Store why turns will stay without their text whose audio the spool had to give up."""
        spool = self._spools.spools.get(record.id) if debt.live is None else None
        losses = () if spool is None else spool.take_losses()
        token: str | None = None
        while losses:
            page = await self._store.owed_turns(record.id, PAGE, token)
            lost = [
                IntervalRecord(
                    IntervalId(self._new_id()),
                    record.id,
                    IntervalKind.LOST,
                    max(turn.start, loss.start),
                    min(turn.end, loss.end),
                    turn.start_wall_s + seconds(max(loss.start - turn.start, 0)),
                    reason=loss.reason,
                )
                for turn in (owed.stored.turn for owed in page.items)
                for loss in losses
                if turn.start < loss.end and turn.end > loss.start
            ]
            if lost:
                await self._publisher.write(lost, record.name)
            token = page.next_token
            if token is None:
                return

    async def _note_sent(self, record: SessionRecord, debt: BackfillState) -> None:
        """What was sent for a session counts for it, also when it has ended."""
        sent, debt.usage.sent = debt.usage.sent, 0
        if debt.live is not None:
            debt.live.sent += sent
        elif sent:
            stored = await self._store.session(record.id)
            counted = replace(stored, transcriber_sent=stored.transcriber_sent + sent)
            await self._publisher.revise(counted, stored.name)


_NOTHING = BackfillState()


def _now_s() -> float:
    return asyncio.get_running_loop().time()
