import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted_daemon.adapters.capture.listing.naming import ListedInput, NamedInput
from minuted_daemon.adapters.capture.protocol.faults import Fault, pack_fault
from minuted_daemon.adapters.capture.protocol.frames import Captured, Unpacker, pack_captured
from minuted_daemon.adapters.capture.protocol.messages import (
    Assignment,
    Opened,
    pack_assignment,
    pack_opened,
    unpack_assignment,
)
from minuted_daemon.adapters.capture.resampling import Rendered, Silence

SPANS = st.lists(st.builds(Silence, st.integers(0, 1600), st.integers(0, 1600)), max_size=5).map(tuple)


@given(st.integers(0, 1 << 60), st.floats(0, 1e10), st.floats(0, 1e10), SPANS, st.text(max_size=50), st.data())
def test_messages_survive_the_pipe_in_any_pieces(
    index: int, monotonic_s: float, wall_s: float, silences: tuple[Silence, ...], detail: str, data: st.DataObject
) -> None:
    pcm, wide = np.arange(1600, dtype=np.int16), np.arange(2400, dtype=np.int16)
    sent = Captured(Rendered(index, pcm, wide, silences), monotonic_s, wall_s)
    stream = pack_captured(sent) + pack_fault(Fault("DEVICE_ENDED", detail)) + pack_captured(sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    unpacker = Unpacker()
    got = [
        message
        for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)
        for message in unpacker.feed(stream[start:end])
    ]
    assert [type(message) for message in got] == [Captured, Fault, Captured]
    assert got[1] == Fault("DEVICE_ENDED", detail)
    captured = got[2]
    assert isinstance(captured, Captured)
    assert (captured.block.index, captured.monotonic_s, captured.wall_s) == (index, monotonic_s, wall_s)
    assert captured.block.silences == silences
    assert np.array_equal(captured.block.pcm, pcm)
    assert np.array_equal(captured.block.wide, wide)


@pytest.mark.parametrize("home", ["", "alsa_input.usb-Acme_Ünit-00.mono"])
def test_what_was_opened_is_told(home: str) -> None:
    listed = ListedInput(3, "Ünit: USB Audio (hw:1,0)", "ALSA", 2, 44_100, False)
    opened = Opened(NamedInput("unit@1-2", "unit", "1-2", listed, 2, 44_100, is_server=False), home)
    assert list(Unpacker().feed(pack_opened(opened))) == [opened]


def test_an_assignment_survives_the_command_line() -> None:
    assignment = Assignment("Raum 1", port="1-2", home="desk", follows=True)
    assert unpack_assignment(pack_assignment(assignment)) == assignment


@pytest.mark.parametrize(
    "nonsense",
    [b"?\x00\x00\x00\x00", b"O\x02\x00\x00\x00{}", b"B\xff\xff\xff\xff", b"B\x02\x00\x00\x00ab", b"ALSA lib pcm.c"],
)
def test_nonsense_is_noticed(nonsense: bytes) -> None:
    with pytest.raises(ValueError, match=r"frame|block|opened"):
        list(Unpacker().feed(nonsense))
