import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted_daemon.adapters.local.protocol import Frame, FrameReader, Kind, decode_events, encode_events
from minuted_daemon.core.events import SpeakerEnded, SpeakerRelabelled, SpeakerStarted

FRAMES = st.builds(
    Frame,
    st.sampled_from(Kind),
    st.integers(0, 2**32 - 1),
    st.integers(-(2**63), 2**63 - 1),
    st.binary(max_size=50),
)


@given(st.lists(FRAMES, max_size=5), st.integers(1, 40))
def test_frames_come_through_in_pieces_of_any_size(frames: list[Frame], size: int) -> None:
    data = b"".join(frame.encode() for frame in frames)
    reader = FrameReader()
    assert [frame for at in range(0, len(data), size) for frame in reader.feed(data[at : at + size])] == frames


def test_nonsense_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        list(FrameReader().feed(b"\xff" * 100))
    with pytest.raises(ValueError, match="unknown event"):
        decode_events(b'[["started", 3, "x"]]')


def test_events_come_through() -> None:
    events = [SpeakerStarted("A0", 5), SpeakerEnded("A0", 9), SpeakerRelabelled("A0", "A1", 5, 9)]
    assert decode_events(encode_events(events)) == events
