"""Backfill: texts that ended sessions lack because their transcriber was away, or refused, until there was no time.

The audio of each turn that was stored without its text, or with the first part of it only, is sent again once the
transcriber works again, and the text becomes a revision of the turn. How a request is made belongs in request.py, which
audio belongs to a turn in audio.py, how long to wait in retries.

What is missing is read from the store each time, and nothing about it is kept on disk: the next start finds it again.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Protocol

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
    TurnLife,
)
from minuted_daemon.core.samples import Sample, seconds
from minuted_daemon.core.suspicion.judge import Suspicion
from minuted_daemon.core.words import has_words, storable
from minuted_daemon.errors import MinutedError, Rejected, Unavailable, VendorError, WrongState
from minuted_daemon.ports.engines import Transcriber
from minuted_daemon.ports.spool import Spool, Spools
from minuted_daemon.ports.store import OwedTurn, Store
from minuted_daemon.service.backfill.attempts import LIMITS, BackfillLimits, BackfillState
from minuted_daemon.service.backfill.audio import owed_audio
from minuted_daemon.service.backfill.engine_backoff import EngineBackoff
from minuted_daemon.service.backfill.request import Answer, BackfillConnection
from minuted_daemon.service.connections.retry_request import RefusedLink
from minuted_daemon.service.connections.transcriber_connection import OPEN_LIMIT_S
from minuted_daemon.service.coverage import lacks_text
from minuted_daemon.service.engines.catalog import NONE
from minuted_daemon.service.engines.usage import EngineUsage
from minuted_daemon.service.persistence.publisher import ChangePublisher
from minuted_daemon.service.retries.gate import Gates
from minuted_daemon.service.task_groups import deadline

log = structlog.get_logger()


class SessionEngines(Protocol):
    """The engines of ended sessions, as they had them."""

    @property
    def gates(self) -> Gates:
        """Where all sessions wait for what is refused."""
        ...

    async def transcriber(self, record: SessionRecord, told: EngineUsage) -> Transcriber:
        """Return a session's transcriber, with its substitute. Raises WrongState (KEY_MISSING, ENGINE_MISSING)."""
        ...


class Backfill:
    """One for the daemon: one session at a time, over one connection."""

    def __init__(
        self,
        spools: Spools,
        store: Store,
        publisher: ChangePublisher,
        engines: SessionEngines,
        new_id: Callable[[], str],
        limits: BackfillLimits = LIMITS,
    ) -> None:
        self._spools = spools
        self._store = store
        self._publisher = publisher
        self._engines = engines
        self._new_id = new_id
        self._limits = limits
        self._states: dict[SessionId, BackfillState] = {}
        self._backoffs: dict[tuple[str, str, tuple[str, ...]], EngineBackoff] = {}
        self._one_at_a_time = asyncio.Lock()
        self._waiting: set[asyncio.Task[None]] = set()
        self._stopped = False

    async def run(self, record: SessionRecord) -> bool:
        """Wait until the ended session lacks no text that may still come; return False if the daemon ends first.

        To be awaited in a task of its own, which `stop` cancels. Raises StoreError, NotFound (SESSION_NOT_FOUND).
        """
        if record.settings.transcriber == NONE:
            return True
        state = self._states.setdefault(record.id, BackfillState(limits=self._limits))
        backoff = self._backoff(record.settings)
        told = False
        while (due_s := await self._due_s(record.id, state)) is not None:
            if self._stopped:
                return False
            if not told:
                log.info("backfill_started", session=record.name, session_id=record.id)
                told = True
            await self._serve_at(max(due_s, backoff.retry_at_s), record, state, backoff)
            await self._tell_losses(record, state)
        await self._tell_losses(record, state)
        if told:
            log.info(
                "backfill_finished",
                session=record.name,
                session_id=record.id,
                texts=state.texts,
                given_up=len(state.given_up),
            )
        return True

    async def run_live(self, record: SessionRecord, before: Sample, usage: EngineUsage) -> bool:
        """Do the same for a session that goes on after a restart, for its turns that end `before` it.

        Its own links see to what came later, and it tells itself what its spool loses.
        """
        state = self._states.setdefault(record.id, BackfillState(limits=self._limits))
        state.before, state.live = before, usage
        try:
            return await self.run(record)
        finally:
            state.before = state.live = None

    def is_owed(self, session_id: SessionId) -> Callable[[Claim], bool]:
        """Return a test of claims on an ended session's audio: whether a text for them may still come."""
        spool, state = self._spools.spools.get(session_id), self._states.get(session_id, _NOTHING)

        def owed(claim: Claim) -> bool:
            there = spool is not None and claim.start >= spool.begin
            return there and lacks_text(claim) and (claim.start, claim.end) not in state.given_up

        return owed

    def refused(self) -> list[RefusedLink]:
        """Return what is refused to ended sessions, once for each kind of transcriber."""

        def link_now(backoff: EngineBackoff) -> Link:
            return Link(Health.REFUSED, backoff.told, backoff.why) if backoff.gate.shut else Link(Health.UP)

        return [
            RefusedLink(SessionId(""), "", "transcriber", key[0], backoff.gate, partial(link_now, backoff))
            for key, backoff in self._backoffs.items()
            if backoff.refused and self._waiting
        ]

    def forget(self, session_id: SessionId, start: Sample, end: Sample) -> None:
        """[start, end) of an ended session is redacted: ask for nothing of it any more."""
        if session_id in self._spools.spools:
            self._states.setdefault(session_id, BackfillState(limits=self._limits)).redacted.append((start, end))

    def close(self, session_id: SessionId) -> None:
        """The session's audio is gone: forget what was known of its attempts."""
        self._states.pop(session_id, None)

    def stop(self) -> None:
        """Ask for nothing any more."""
        self._stopped = True
        for task in self._waiting:
            task.cancel()

    # --- inside -------------------------------------------------------------------------------------------------------

    def _backoff(self, settings: SessionSettings) -> EngineBackoff:
        key = settings.transcriber, settings.fallback, settings.languages
        if key not in self._backoffs:
            gate = self._engines.gates.door("transcriber", settings.transcriber, settings.languages)
            self._backoffs[key] = EngineBackoff(self._engines.gates.policy(), gate)
        return self._backoffs[key]

    async def _lacking(self, session_id: SessionId, state: BackfillState) -> AsyncGenerator[OwedTurn, None]:
        """Return the turns that lack their text and may still get it, by start."""
        spool = self._spools.spools.get(session_id)
        token: str | None = None
        while spool is not None:
            page = await self._store.owed_turns(session_id, self._limits.page, token)
            for owed in page.items:
                turn = owed.stored.turn
                if turn.start >= spool.begin and state.is_pending(turn):
                    yield owed
            token = page.next_token
            if token is None:
                return

    async def _due_s(self, session_id: SessionId, state: BackfillState) -> float | None:
        """Return when the first turn may be asked for; None if none may."""
        earliest: float | None = None
        async with aclosing(self._lacking(session_id, state)) as lacking:
            async for owed in lacking:
                due_s = state.due_s(owed.stored.turn)
                earliest = due_s if earliest is None else min(earliest, due_s)
                if earliest <= _now_s():
                    break
        return earliest

    async def _serve_at(self, at_s: float, record: SessionRecord, state: BackfillState, backoff: EngineBackoff) -> None:
        task: asyncio.Task[None] | None = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            await backoff.gate.pause(max(0.0, at_s - _now_s()))
            if backoff.refused and backoff.gate.may_ask:
                backoff.retry_at_s, backoff.refused = 0.0, False
            async with self._one_at_a_time:
                if backoff.retry_at_s <= _now_s():
                    await self._serve(record, state, backoff)
        finally:
            self._waiting.discard(task)

    async def _serve(self, record: SessionRecord, state: BackfillState, backoff: EngineBackoff) -> None:
        """Ask for all that is due, over one connection; note why that failed, if it did."""
        failure: MinutedError
        try:
            await self._ask(record, state, backoff)
        except (VendorError, WrongState) as error:
            failure = error
        else:
            await self._note_sent(record, state)
            return
        await self._note_sent(record, state)
        current, state.current = state.current, None
        if current is not None and not isinstance(failure, Rejected):
            state.failed(current, _now_s())
        delay_s = (
            self._engines.gates.again_s if isinstance(failure, WrongState) else backoff.policy.failed(_now_s(), failure)
        )
        backoff.retry_at_s, backoff.refused = _now_s() + delay_s, isinstance(failure, Rejected)
        if not backoff.refused or backoff.told != failure.reason:
            log.warning(
                "backfill_delayed",
                session=record.name,
                session_id=record.id,
                reason=failure.reason,
                failures=backoff.policy.failures,
                retry_in_s=round(delay_s, 2),
            )
        backoff.told, backoff.why = failure.reason, failure.message

    async def _ask(self, record: SessionRecord, state: BackfillState, backoff: EngineBackoff) -> None:
        """Raises VendorError, WrongState (KEY_MISSING, ENGINE_MISSING), StoreError, NotFound (SESSION_NOT_FOUND)."""
        spool = self._spools.spools.get(record.id)
        if spool is None:
            return
        # The same over all connections: it knows whether its substitute has taken over.
        if state.transcriber is None:
            state.transcriber = await self._engines.transcriber(record, state.usage)
            state.suspicion = Suspicion(record.settings.languages, diarized=record.settings.diarizer != NONE)
        used = (await self._store.resume_point(record.id)).generation or 0
        async with deadline(
            OPEN_LIMIT_S, "OPEN_TIMEOUT", f"the transcriber did not answer within {OPEN_LIMIT_S:.0f} s"
        ):
            stream = await state.transcriber.open(record.settings.languages)
        try:
            backoff.policy.opened(_now_s())
            backoff.told = ""
            asking = BackfillConnection(stream, spool)
            async with asking.under_way(), aclosing(self._lacking(record.id, state)) as lacking:
                utterances = count(used + 1)
                async for owed in lacking:
                    turn = owed.stored.turn
                    if state.due_s(turn) > _now_s():
                        continue
                    if not asking.has_time_for(turn.end - turn.start):
                        break
                    await self._ask_for(owed, asking, UtteranceId(next(utterances)), spool, state, backoff)
        finally:
            await stream.close()

    async def _ask_for(
        self,
        owed: OwedTurn,
        asking: BackfillConnection,
        utterance: UtteranceId,
        spool: Spool,
        state: BackfillState,
        backoff: EngineBackoff,
    ) -> None:
        """Raises VendorError, also where the transcriber fails at everything: so long nothing is held against turns."""
        turn = owed.stored.turn
        audio = await owed_audio(spool, owed)
        if audio is None:
            state.give_up(turn)
            return
        state.current = turn
        answer = await asking.text(utterance, audio.start, audio.end)
        state.current = None
        if answer.text is None:
            await self._failed(owed, answer, utterance, state, backoff)
            return
        backoff.answered()
        heard = turn.attribution is not Attribution.UNKNOWN or bool(turn.text) or has_words(answer.said)
        if has_words(answer.text):
            await self._revise(owed, answer.text, TextSource.COMPLETED, utterance, state)
        elif heard or not audio.whole:  # there were words in it, or may have been in what is gone
            repeats = state.transcriber is not None and state.transcriber.capabilities.repeats
            await self._keep(owed, state.wordless(turn, _now_s(), answer.said, repeats), utterance, state)
        else:
            await self._revise(owed, "", TextSource.COMPLETED, utterance, state)

    async def _failed(
        self, owed: OwedTurn, answer: Answer, utterance: UtteranceId, state: BackfillState, backoff: EngineBackoff
    ) -> None:
        turn = owed.stored.turn
        if not answer.reason or not backoff.failed(turn.id):
            await self._keep(owed, state.failed(turn, _now_s(), answer.said), utterance, state)
            return
        await self._keep(owed, state.tried(turn, _now_s(), answer.said), utterance, state)
        wait_s = min(self._limits.trial_wait_s * 2.0 ** min(backoff.trials - 1, 20), self._engines.gates.again_s)
        raise Unavailable(answer.reason, "the transcriber fails at every utterance", retry_after_s=wait_s)

    async def _keep(self, owed: OwedTurn, said: str | None, utterance: UtteranceId, state: BackfillState) -> None:
        """A turn that is given up keeps what was said of it, if that is more than it has."""
        if said is not None and has_words(said) and len(said) > len(owed.stored.turn.text):
            await self._revise(owed, said, TextSource.PROVISIONAL, utterance, state)

    async def _revise(
        self, owed: OwedTurn, text: str, source: TextSource, utterance: UtteranceId, state: BackfillState
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
        answered = state.judged(answered)
        if not state.is_redacted(turn) and await self._publisher.revise(
            answered, owed.stored.session_name, owed.stored.speakers
        ):
            if source is TextSource.COMPLETED:
                state.attempts.pop(turn.id, None)
                state.texts += 1
        else:
            await self._store.session(turn.session_id)  # if it was deleted, nothing more of it is asked for

    async def _tell_losses(self, record: SessionRecord, state: BackfillState) -> None:
        """Store why turns will stay without their text whose audio the spool had to give up."""
        spool = self._spools.spools.get(record.id) if state.live is None else None
        losses = () if spool is None else spool.take_losses()
        token: str | None = None
        while losses:
            page = await self._store.owed_turns(record.id, self._limits.page, token)
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

    async def _note_sent(self, record: SessionRecord, state: BackfillState) -> None:
        """What was sent for a session counts for it, also when it has ended."""
        sent, state.usage.sent = state.usage.sent, 0
        if state.live is not None:
            state.live.sent += sent
        elif sent:
            stored = await self._store.session(record.id)
            counted = replace(stored, transcriber_sent=stored.transcriber_sent + sent)
            await self._publisher.revise(counted, stored.name)


_NOTHING = BackfillState()


def _now_s() -> float:
    return asyncio.get_running_loop().time()
