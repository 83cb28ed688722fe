"""Speech through a stand-in for flite: the silence at both ends goes, and what was said once is kept."""

import stat
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.meeting import RATE_HZ
from tests.voices.speech import EDGE_S, Speech

FLITE = """#!{python}
import sys
from pathlib import Path
import numpy as np, soundfile
text, path = sys.argv[sys.argv.index("-t") + 1], sys.argv[sys.argv.index("-o") + 1]
with Path({calls!r}).open("a") as calls:
    calls.write(sys.argv[sys.argv.index("-voice") + 1] + " " + text + "\\n")
tone = np.sin(np.arange(8000 * len(text.split())) / 5) * 0.5 if text != "nothing" else np.zeros(1000)
soundfile.write(path, np.concatenate([np.zeros(4000), tone, np.zeros(6000)]), 8000)
"""


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file to which the stand-in writes what it was asked to say."""
    calls = tmp_path / "calls"
    program = tmp_path / "bin" / "flite"
    program.parent.mkdir()
    program.write_text(FLITE.format(python=sys.executable, calls=str(calls)))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    return calls


def test_silence_at_the_ends_is_cut_off_and_the_rate_is_ours(calls: Path, tmp_path: Path) -> None:
    said = Speech(tmp_path).say("two words", "flite:slt")
    assert said.dtype == np.float32
    assert len(said) / RATE_HZ == pytest.approx(2 + 2 * EDGE_S, abs=0.015)
    assert calls.read_text() == "slt two words\n"


def test_what_was_said_once_is_kept(calls: Path, tmp_path: Path) -> None:
    first = Speech(tmp_path).say("again", "flite:rms")
    assert np.array_equal(Speech(tmp_path).say("again", "flite:rms"), first)
    Speech(tmp_path).say("again", "flite:slt")
    Speech(tmp_path).say("again", "flite:slt", 1.1)
    assert calls.read_text().splitlines() == ["rms again", "slt again", "slt again"]


def test_a_text_that_gives_no_sound_is_an_error_and_not_kept(calls: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing can be heard"):
        Speech(tmp_path).say("nothing", "flite:slt")
    with pytest.raises(ValueError, match="nothing can be heard"):
        Speech(tmp_path).say("nothing", "flite:slt")
    assert len(calls.read_text().splitlines()) == 2
