"""What is noted of a diarizer's word comes back as it was, and what is no note is nothing."""

from hypothesis import given
from hypothesis import strategies as st

from minuted_daemon.core.diarization.epochs import OpenEpoch
from minuted_daemon.core.events import (
    Epoch,
    EpochClosed,
    EpochOpened,
    EpochTookOver,
    SpeakerEnded,
    SpeakerNumber,
    SpeakerRelabelled,
    SpeakerStarted,
)
from minuted_daemon.core.records import IntervalId, IntervalKind
from minuted_daemon.core.samples import Sample
from minuted_daemon.ports.spool import Note
from minuted_daemon.service.recovery.log import (
    CommitNoted,
    EpochNoted,
    EventNoted,
    IntervalNoted,
    NamesNoted,
    Noted,
    StateNoted,
    decoded,
    encoded,
    recollected,
)

positions = st.integers(0, 1 << 40).map(Sample)
epochs = st.integers(1, 9).map(Epoch)
labels = st.text(max_size=12)
names = st.dictionaries(st.tuples(epochs, labels), st.integers(1, 40).map(SpeakerNumber), max_size=4)
changes = st.one_of(
    st.builds(kind, epochs, positions)
    for kind in (EpochOpened, EpochTookOver, EpochClosed)  # type: ignore[arg-type]
)
said = st.one_of(
    st.builds(SpeakerStarted, labels, positions),
    st.builds(SpeakerEnded, labels, positions),
    st.builds(SpeakerRelabelled, labels, labels, positions, positions),
)
usage = st.builds(OpenEpoch, epochs, positions, st.none() | positions, st.dictionaries(labels, positions, max_size=3))
notes = st.one_of(
    st.builds(EpochNoted, positions, changes),
    st.builds(EventNoted, positions, epochs, said, positions),
    st.builds(NamesNoted, positions, names),
    st.builds(StateNoted, positions, positions, st.lists(usage, max_size=3), names, positions),
    st.builds(CommitNoted, positions, positions, positions, positions, positions),
    st.builds(
        IntervalNoted, positions, labels, st.sampled_from(IntervalKind), labels, positions, positions, st.booleans()
    ),
)


def _interval(name: str, end: int, growing: bool) -> IntervalNoted:
    return IntervalNoted(
        Sample(end), IntervalId(name), IntervalKind.GAP, "DEVICE_LOST", Sample(1), Sample(end), growing
    )


@given(notes)
def test_notes_round_trip(noted: Noted) -> None:
    data = encoded(noted)
    assert decoded(data) == noted
    assert decoded(data[:-1]) is None, "half a note is none"


@given(st.binary(max_size=40))
def test_what_is_no_note_is_nothing(data: bytes) -> None:
    assert decoded(data) is None


def test_another_version_is_nothing() -> None:
    assert decoded(encoded(NamesNoted(Sample(1), {})).replace(b"[1,", b"[2,")) is None


def test_a_state_that_was_noted_before_settled_to_was_is_still_one() -> None:
    assert decoded(b'[1,"w",9,7,[],[]]') == StateNoted(Sample(9), Sample(7), [], {})


async def test_a_recollection_knows_the_last_name_of_each_label_and_the_last_epoch() -> None:
    one, two = (Epoch(1), "A"), (Epoch(2), "A")
    told: list[Noted] = [
        StateNoted(Sample(0), Sample(7), [], {one: SpeakerNumber(1)}),
        NamesNoted(Sample(1), {two: SpeakerNumber(2)}),
        EpochNoted(Sample(2), EpochOpened(Epoch(3), Sample(2))),
        NamesNoted(Sample(3), {two: SpeakerNumber(1)}),
        CommitNoted(Sample(4), Sample(1), Sample(2), 0, 3),
        _interval("a", 3, growing=True),
        _interval("b", 5, growing=True),
        _interval("a", 8, growing=False),
    ]
    lines = [encoded(noted) for noted in told]
    lines.insert(2, b"no note at all")
    known = await recollected([Note(Sample(0), Sample(0), line) for line in lines])
    assert list(known.noted) == told
    assert known.names == {one: 1, two: 1}
    assert known.epochs == 3
    assert known.needed_from == 7
    assert known.audio == {(1, 2): (0, 3)}
    assert known.intervals == (_interval("a", 8, growing=False), _interval("b", 5, growing=True))
