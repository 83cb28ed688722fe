"""The scripts: how they are read, and which voices speak in which set."""

import pytest

from tests.voices.dialogue import Entry, Line, parse_script, read_script, script_names

HEAD = "title: A talk\nroom: dry\nnoise_db: -60\nvoices: Ada=af_heart Ben=flite:rms\n\n"


def voices_of(kind: str) -> set[str]:
    return {voice for name in script_names() if name.startswith(kind) for voice in read_script(name).voices.values()}


def test_a_script_tells_who_says_what_and_when() -> None:
    script = parse_script("X1", HEAD + "Ada: Shall we: yes?\n# aside\n+ Ben: Wait.\n~ Ada: Hm.\n_ Ben: So.\n")
    assert script.voices == {"Ada": "af_heart", "Ben": "flite:rms"}
    assert (script.title, script.room, script.noise_db) == ("A talk", "dry", -60.0)
    assert script.lines == (
        Line("Ada", "Shall we: yes?", Entry.AFTER),
        Line("Ben", "Wait.", Entry.OVERLAP),
        Line("Ada", "Hm.", Entry.WITHIN),
        Line("Ben", "So.", Entry.PAUSE),
    )


@pytest.mark.parametrize(
    "text",
    [
        HEAD + "Cleo: Hello.\n",
        HEAD + "Ada:\n",
        HEAD + "+ Ada: Hello.\n",
        HEAD + "Hello.\n",
        HEAD.replace("dry", "wet") + "Ada: Hello.\n",
        HEAD.replace("title", "name") + "Ada: Hello.\n",
    ],
    ids=["stranger", "nothing said", "overlaps with nothing", "nobody", "no such room", "head"],
)
def test_what_does_not_follow_the_format_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"X1|colon"):
        parse_script("X1", text)


@pytest.mark.parametrize("name", script_names())
def test_everybody_who_has_a_voice_speaks_and_nobody_shares_one(name: str) -> None:
    script = read_script(name)
    assert {line.speaker for line in script.lines} == set(script.voices)
    assert len(set(script.voices.values())) == len(script.voices)


def test_nobody_speaks_in_the_tuning_set_and_in_another() -> None:
    tuning = voices_of("T")
    assert len(tuning) >= 8
    assert not tuning & (voices_of("H") | voices_of("I"))


def test_the_held_out_meetings_have_two_women_and_two_men_each_and_no_voice_twice() -> None:
    heard = [sorted(read_script(name).voices.values()) for name in script_names() if name.startswith("H")]
    assert all(sorted(voice[1] for voice in voices) == ["f", "f", "m", "m"] for voices in heard)
    assert len({voice for voices in heard for voice in voices}) == 4 * len(heard)
