"""The composition root: the only file that names concrete adapters. It builds, starts, waits for a signal, and stops.

What takes long to import (a vendor's SDK, the offline engine) is imported when an engine is first used.
"""

import asyncio
import fcntl
import importlib
import os
import random
import signal
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from minuted_daemon.adapters.capture.machine import MachineCapture
from minuted_daemon.adapters.host.memory import fix_mmap_threshold, freeze_gc
from minuted_daemon.adapters.host.systemd import Notifier
from minuted_daemon.adapters.local.availability import local_engine_missing
from minuted_daemon.adapters.spool.spools import Bounds, open_spools
from minuted_daemon.adapters.storage.store import open_store
from minuted_daemon.adapters.voice_activity import SileroModels
from minuted_daemon.config.engines import ENGINES, EngineEntry
from minuted_daemon.config.proxies import Proxies
from minuted_daemon.config.settings import Config, MergeConfig
from minuted_daemon.core.merge.merger import Merger, MergeSettings, Resumption
from minuted_daemon.errors import ConfigError, WrongState
from minuted_daemon.ports.engines import Diarizer, Transcriber, VoicePrinter
from minuted_daemon.rpc.budgets import RpcLimits
from minuted_daemon.rpc.server import start_server
from minuted_daemon.service.engines.catalog import LOCAL, Diarizers, E, Offer, Offers, Transcribers
from minuted_daemon.service.erasure import Erasure
from minuted_daemon.service.feed.hub import Hub
from minuted_daemon.service.ids import UlidSource
from minuted_daemon.service.lifecycle.registry import Registry
from minuted_daemon.service.persistence.publisher import ChangePublisher
from minuted_daemon.service.retries.gate import Gates
from minuted_daemon.service.session.context import SharedServices
from minuted_daemon.service.session.factory import SessionResources
from minuted_daemon.service.task_groups import single_error_group

if TYPE_CHECKING:
    from minuted_daemon.adapters.local.worker_client import LocalEngine
    from minuted_daemon.adapters.network.route import Network

STOP_LIMIT_S = 7.0
"""How long sessions may take to settle at the end; with all that follows it is less than 10 s."""
WARM_UP_AFTER_S = 1.0
"""Requests right after the start are answered first."""
SERVER_GRACE_S = 1.0
CLOSE_LIMIT_S = 1.5
SPOOL_CLOSE_LIMIT_S = 0.5

log = structlog.get_logger()


async def run(config: Config) -> None:
    """Serve until SIGTERM or SIGINT, then let every session settle and end, within 10 s.

    Each step puts its undoing on a stack: the first to start is the last to stop.
    Raises ConfigError if the configuration cannot be used here (STATE_DIR_IN_USE, STATE_DIR_UNUSABLE, and those of the
    store and the server), and StoreError.
    """
    fix_mmap_threshold()
    notifier = Notifier()
    async with AsyncExitStack() as stack:
        stack.enter_context(_claimed(config.daemon.state_dir))
        stop_requested = stack.enter_context(_stop_signal())
        store = await open_store(config.storage_url, config.daemon.state_dir)
        stack.push_async_callback(store.close)
        bounds = Bounds(int(config.spool.max_gb * 1e9), config.spool.max_age_h * 3600.0)
        spools = await open_spools(config.daemon.state_dir, bounds)
        stack.push_async_callback(spools.close, SPOOL_CLOSE_LIMIT_S)
        hub = Hub(store)
        publisher = ChangePublisher(store, hub)
        capture = MachineCapture()
        diarizers, transcribers = _engines(config)
        voice_printer = _voice_printer()
        close_voices = [] if voice_printer is None else [voice_printer.close]
        stack.push_async_callback(_close, capture.close, diarizers.close, transcribers.close, *close_voices)
        group = await stack.enter_async_context(single_error_group())
        watchdog = group.create_task(_notify_watchdog(notifier))
        stack.callback(watchdog.cancel)
        tending = group.create_task(spools.run())
        stack.callback(tending.cancel)
        workshop = SessionResources(
            capture=capture,
            diarizers=diarizers,
            transcribers=transcribers,
            merger=partial(_merger, config.merge),
            spools=spools,
            freeze_s=config.merge.freeze_s,
            speech_models=SileroModels() if config.merge.voice_activity == "model" else None,
        )
        gates = Gates(random.random, time.time, config.links.retry_refused_s)
        around = SharedServices(store, publisher, hub, UlidSource(), time.time, random.random, voice_printer, gates)
        if stop_requested.is_set():
            return  # before any session resumes, or is recorded as interrupted once more
        erasing = Erasure(store, publisher, hub, spools)
        registry = Registry(group, workshop, around, config.sessions, erasing)
        serving = asyncio.Event()
        freeze_gc()
        await registry.recover(serving)
        going_on_erasing = group.create_task(erasing.run())
        stack.callback(going_on_erasing.cancel)
        limits = RpcLimits(config.limits.streams, config.limits.streams_per_connection, config.limits.reads)
        server = await start_server(
            config.daemon.listen, sessions=registry, store=store, hub=hub, capture=capture, limits=limits
        )
        serving.set()
        stack.push_async_callback(server.stop, SERVER_GRACE_S)
        stack.push_async_callback(registry.stop_all, STOP_LIMIT_S)
        stack.push_async_callback(server.drain)
        registry.autostart()
        stack.callback(notifier.stopping)
        notifier.ready()
        log.info("daemon_ready")
        if config.openai.api_key:
            warming = group.create_task(_warm_up())
            stack.callback(warming.cancel)
        await stop_requested.wait()
        log.info("daemon_stopping", live_sessions=registry.live_count())
    log.info("daemon_stopped")


async def _warm_up() -> None:
    """Import the vendors' engines, which takes time that the first session should not have to wait for."""
    await asyncio.sleep(WARM_UP_AFTER_S)
    await asyncio.to_thread(importlib.import_module, "minuted_daemon.adapters.openai.engine")
    await asyncio.to_thread(importlib.import_module, "minuted_daemon.adapters.pyannote.engine")
    freeze_gc()


# --- engines ----------------------------------------------------------------------------------------------------------


def _engines(config: Config) -> tuple[Diarizers, Transcribers]:
    @cache
    def offline() -> "LocalEngine":
        """One worker process serves both roles."""
        from minuted_daemon.adapters.local.worker_client import LocalEngine

        return LocalEngine()

    @cache
    def network() -> "Network":
        from minuted_daemon.adapters.network.route import Network

        return Network(Proxies(config.network.proxy, os.environ), config.network.ca_file, os.environ)

    def local_diarizer() -> Diarizer:
        from minuted_daemon.adapters.local.diarizer import LocalDiarizer

        return LocalDiarizer(offline())

    def local_transcriber() -> Transcriber:
        from minuted_daemon.adapters.local.transcriber import LocalTranscriber

        return LocalTranscriber(offline())

    def pyannote() -> Diarizer:
        from minuted_daemon.adapters.pyannote.engine import PyannoteDiarizer

        settings = config.pyannote
        key = settings.api_key or ""
        return PyannoteDiarizer(settings.base_url, key, settings.max_stream_s, network=network())

    def openai() -> Transcriber:
        from minuted_daemon.adapters.openai.engine import OpenAITranscriber
        from minuted_daemon.adapters.openai.settings import Hints

        own = config.openai
        hints = Hints(own.languages, own.keywords, own.delay, own.noise_reduction, own.prompt)
        return OpenAITranscriber(own.base_url, own.api_key or "", own.model, hints, network=network())

    return (
        Offers("diarizer", _offers(config, "diarizer", {"pyannote": pyannote, "local": local_diarizer})),
        Offers("transcriber", _offers(config, "transcriber", {"openai": openai, "local": local_transcriber})),
    )


def _offers(config: Config, role: str, builders: Mapping[str, Callable[[], E]]) -> list[Offer[E]]:
    """Return an offer for each engine of a role, in the order in which `auto` prefers them."""
    engines = [engine for engine in ENGINES if engine.role == role]
    return [Offer(engine.name, partial(_missing, config, engine), builders[engine.name]) for engine in engines]


def _voice_printer() -> VoicePrinter | None:
    """Return the recogniser of voices, which joins speakers after a reconnect; None without the offline engine."""
    if local_engine_missing() is not None:
        return None
    from minuted_daemon.adapters.local.voiceprint import LocalVoicePrinter

    return LocalVoicePrinter()


def _missing(config: Config, engine: EngineEntry) -> WrongState | None:
    """Return why an engine cannot be used now, None if it can."""
    return _local_missing() if engine.name == LOCAL else engine.key_missing(config.key(engine.name))


def _local_missing() -> WrongState | None:
    missing = local_engine_missing()
    if missing is None:
        return None
    message = f"the offline engine is not installed, it lacks {missing}: run pip install 'minuted[local]'"
    return WrongState("ENGINE_MISSING", message, engine="local")


def _merger(
    config: MergeConfig, diarizer: Diarizer | None, transcriber: Transcriber | None, resumed: Resumption | None
) -> Merger:
    settings = MergeSettings(
        hold_back_s=config.hold_back_s,
        join_gap_s=config.join_gap_s,
        max_turn_s=config.max_turn_s,
        freeze_s=config.freeze_s,
        transcribes=transcriber is not None,
    )
    if diarizer is not None:
        settings = replace(settings, diarizer_lag_s=diarizer.capabilities.lag_s)
    return Merger(settings, resumed)


# --- the process ------------------------------------------------------------------------------------------------------


@contextmanager
def _claimed(state_dir: Path) -> Iterator[None]:
    """Make the daemon's directory and keep it for this process alone.

    Raises ConfigError (STATE_DIR_IN_USE, STATE_DIR_UNUSABLE).
    """
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        message = f"daemon.state_dir: cannot write to {state_dir} ({error.strerror}); it must be the daemon's own"
        raise ConfigError("STATE_DIR_UNUSABLE", message, state_dir=str(state_dir)) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        message = f"daemon.state_dir: another minuted uses {state_dir}; stop it, or name another directory"
        raise ConfigError("STATE_DIR_IN_USE", message, state_dir=str(state_dir)) from error
    try:
        yield
    finally:
        os.close(lock)


@contextmanager
def _stop_signal() -> Iterator[asyncio.Event]:
    """Return an event that SIGTERM and SIGINT set, also a SIGTERM that came earlier and was held back."""
    requested = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, requested.set)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    try:
        yield requested
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _close(*closes: Callable[[], Awaitable[None]]) -> None:
    """Close what sessions no longer use, all at once: together they may not take longer than one of them."""

    async def closed(close: Callable[[], Awaitable[None]]) -> None:
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await close()
        except TimeoutError:
            log.warning("close_timed_out", limit_s=CLOSE_LIMIT_S)

    async with asyncio.TaskGroup() as group:
        for close in closes:
            group.create_task(closed(close))


async def _notify_watchdog(notifier: Notifier) -> None:
    """Report three times in each watchdog period that the event loop runs."""
    if notifier.watchdog_s is not None:
        while True:
            notifier.alive()
            await asyncio.sleep(notifier.watchdog_s / 3)
