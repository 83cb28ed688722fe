"""Recordings of every format people bring, and every way they are cut, damaged or built to do harm; decoded at once."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile

from minuted_daemon.adapters.capture.recordings.decoding.process_decoder import Limits
from minuted_daemon.adapters.capture.recordings.opener import Decoders, open_recording
from minuted_daemon.adapters.capture.recordings.reader import Reader
from minuted_daemon.adapters.capture.resampling import Rendered
from minuted_daemon.core.channels.choice import EVERY_CHANNEL
from minuted_daemon.errors import DeviceError, Invalid

RATE = 16_000
ANY = Decoders()
SPEECH = Path(__file__).parents[3] / "audio/standup.wav"


def speech(seconds: float) -> np.ndarray:
    samples, _ = soundfile.read(SPEECH, frames=round(seconds * RATE) + 8_000, dtype="float32")
    return samples[8_000:]


def reader_of(path: Path, decoders: Decoders = ANY, skip_blocks: int = 0) -> Reader:
    return Reader(str(path), open_recording(str(path), decoders), EVERY_CHANNEL, skip_blocks)


def heard(reader: Reader) -> np.ndarray:
    blocks: list[Rendered] = []
    try:
        while items := reader.read():
            blocks += [item for item in items if isinstance(item, Rendered)]
    finally:
        reader.close()
    return np.concatenate([block.pcm for block in blocks]) / 32_768 if blocks else np.zeros(0)


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    """How alike two recordings of the same are, if one may begin up to 0.3 s later than the other."""
    size = 1 << 18
    product = np.fft.irfft(np.fft.rfft(one, size) * np.conj(np.fft.rfft(other, size)))
    return float(np.concatenate((product[:4_800], product[-4_800:])).max() / np.sqrt((one**2).sum() * (other**2).sum()))


def by_ffmpeg(path: Path, *options: str) -> None:
    command = ["ffmpeg", "-v", "error", "-y", "-i", "-", *options, str(path)]
    buffer = io.BytesIO()
    soundfile.write(buffer, speech(5.0), RATE, format="WAV")
    subprocess.run(command, input=buffer.getvalue(), check=True)


@pytest.mark.parametrize(
    ("kind", "coding"),
    [
        ("MP3", "MPEG_LAYER_III"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("AIFF", "PCM_24"),
        ("AIFF", "ULAW"),
        ("CAF", "PCM_16"),
        ("CAF", "ALAC_16"),
        ("W64", "FLOAT"),
        ("AU", "ULAW"),
        ("RF64", "PCM_24"),
        ("WAV", "GSM610"),
        ("WAV", "G721_32"),
        ("WAV", "MS_ADPCM"),
        ("WAV", "IMA_ADPCM"),
        ("VOC", "PCM_16"),
    ],
)
def test_what_libsndfile_reads_is_taken(kind: str, coding: str, tmp_path: Path) -> None:
    path, none = tmp_path / "recording", Decoders(ffmpeg="")
    soundfile.write(path, speech(3.0), RATE, format=kind, subtype=coding)
    all_of_it = heard(reader_of(path, none))
    assert len(all_of_it) == pytest.approx(3 * RATE, abs=3_200)
    assert likeness(all_of_it, speech(3.0)) > 0.8
    rest = heard(reader_of(path, none, skip_blocks=10))
    assert np.allclose(rest, all_of_it[10 * 1_600 :], atol=1e-3), "it goes on where it was left"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.m4a", ("-c:a", "aac")),
        ("b.m4a", ("-c:a", "aac", "-movflags", "+faststart")),
        ("c.webm", ("-c:a", "libopus")),
        ("d.wma", ("-c:a", "wmav2")),
        ("e.3gp", ("-c:a", "aac")),
        ("f.aac", ("-c:a", "aac")),
        ("g.mkv", ("-c:a", "pcm_s16le")),
        ("h.wv", ("-c:a", "wavpack")),
    ],
)
def test_what_ffmpeg_reads_is_taken_where_it_is_installed(name: str, options: tuple[str, ...], tmp_path: Path) -> None:
    path = tmp_path / name
    by_ffmpeg(path, *options)
    reader = reader_of(path)
    all_of_it = heard(reader)
    assert len(all_of_it) == pytest.approx(5 * RATE, abs=4_800)
    assert likeness(all_of_it, speech(5.0)) > 0.7
    assert reader.missing is None
    rest = heard(reader_of(path, skip_blocks=20))
    assert np.allclose(rest[800:], all_of_it[20 * 1_600 + 800 :], atol=1e-3), "it goes on where it was left"
    with pytest.raises(Invalid) as caught:
        reader_of(path, Decoders(ffmpeg=""))
    assert caught.value.reason == "FILE_NOT_AUDIO"
    assert "ffmpeg -i IN OUT.flac" in caught.value.message
    assert "Debian package ffmpeg" in caught.value.message


def test_what_phones_record_is_taken(tmp_path: Path) -> None:
    (tmp_path / "a.amr").write_bytes(b"#!AMR\n" + (b"\x3c" + bytes(range(31))) * 100)
    got = heard(reader_of(tmp_path / "a.amr"))
    assert len(got) == 2 * RATE
    assert got.any()


def mpeg(path: Path, *options: str) -> bytes:
    """Ten seconds of sound and thirty of silence: a rate that the beginning says nothing about."""
    samples = np.concatenate((speech(10.0), np.zeros(30 * RATE, np.float32)))
    soundfile.write(path.with_suffix(".wav"), samples, RATE)
    command = ["ffmpeg", "-v", "error", "-y", "-i", str(path.with_suffix(".wav")), "-q:a", "2", *options, str(path)]
    subprocess.run(command, check=True)
    return path.read_bytes()


def test_an_mp3_of_varying_rate_is_played_to_its_last_sample(tmp_path: Path) -> None:
    mpeg(tmp_path / "a.mp3", "-write_xing", "0", "-id3v2_version", "4", "-metadata", "title=Standup")
    assert len(heard(reader_of(tmp_path / "a.mp3"))) == pytest.approx(40 * RATE, abs=4_800)


def test_an_mp3_that_goes_on_behind_what_it_promises(tmp_path: Path) -> None:
    (tmp_path / "b.mp3").write_bytes(mpeg(tmp_path / "a.mp3") * 2)
    assert len(heard(reader_of(tmp_path / "b.mp3"))) == pytest.approx(80 * RATE, abs=4_800)


def test_ogg_streams_one_behind_the_other_are_all_played(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.ogg", speech(2.0), RATE, format="OGG", subtype="VORBIS")
    (tmp_path / "b.ogg").write_bytes((tmp_path / "a.ogg").read_bytes() * 3)
    assert len(heard(reader_of(tmp_path / "b.ogg"))) == pytest.approx(6 * RATE, abs=1_600)


def flac(seconds: float = 5.0) -> bytearray:
    buffer = io.BytesIO()
    soundfile.write(buffer, speech(seconds), RATE, format="FLAC")
    return bytearray(buffer.getvalue())


def test_a_flac_of_unknown_length_is_played_to_its_last_sample(tmp_path: Path) -> None:
    content = flac(4.95)
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(content)
    reader = reader_of(tmp_path / "a.flac")
    got = heard(reader)
    assert np.abs(got[: round(4.95 * RATE)] - speech(4.95)).max() < 1e-4
    assert len(got) == 5 * RATE
    assert reader.missing is None


def test_a_flac_that_was_cut_before_its_length_was_known_ends_with_its_last_whole_frame(tmp_path: Path) -> None:
    content = flac()
    content[21] &= 0xF0
    content[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(content[:-700])
    reader = reader_of(tmp_path / "a.flac")
    got = heard(reader)
    assert reader.missing is not None, "how much is not known, but that something is"
    assert 4 * RATE < reader.missing.start <= len(got) < 5 * RATE
    assert np.abs(got[: reader.missing.start] - speech(5.0)[: reader.missing.start]).max() < 1e-4


@pytest.mark.parametrize(
    "cut",
    [
        lambda path: path.write_bytes(flac()[:-500]),
        lambda path: path.write_bytes(mpeg(path)[:60_000]),
        lambda path: (by_ffmpeg(path, "-movflags", "+faststart"), os.truncate(path, 25_000)),
    ],
    ids=["flac", "mp3", "m4a"],
)
def test_what_a_coded_recording_promised_is_told(
    cut: Callable[[Path], object], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    path = tmp_path / f"cut.{request.node.callspec.id}"
    cut(path)
    reader = reader_of(path)
    got = heard(reader)
    assert reader.missing is not None
    assert reader.missing.reason == "FILE_TRUNCATED"
    promised = 40 * RATE if path.suffix == ".mp3" else 5 * RATE
    assert reader.missing.end == pytest.approx(promised, abs=800)
    assert 0 <= len(got) - reader.missing.start < 1_600
    assert reader.missing.end - reader.missing.start > 1_600


def test_a_recording_without_its_index_is_refused_in_one_line(tmp_path: Path) -> None:
    by_ffmpeg(tmp_path / "a.m4a")
    (tmp_path / "b.m4a").write_bytes((tmp_path / "a.m4a").read_bytes()[:20_000])
    with pytest.raises(Invalid, match=r"index.*missing") as caught:
        reader_of(tmp_path / "b.m4a")
    assert caught.value.reason == "FILE_TRUNCATED"


def test_a_video_without_sound_holds_no_audio(tmp_path: Path) -> None:
    source = ["-f", "lavfi", "-i", "color=c=red:s=64x64:d=1"]
    subprocess.run(["ffmpeg", "-v", "error", *source, str(tmp_path / "a.mp4")], check=True)
    with pytest.raises(Invalid) as caught:
        reader_of(tmp_path / "a.mp4")
    assert caught.value.reason == "FILE_EMPTY"


def test_a_file_that_names_others_is_not_followed(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "secret.wav", speech(1.0), RATE)
    for name, content in (
        ("a.m4a", f"ffconcat version 1.0\nfile '{tmp_path}/secret.wav'\n"),
        ("b.mp3", f"#EXTM3U\n#EXTINF:1,\nfile://{tmp_path}/secret.wav\n#EXT-X-ENDLIST\n"),
        ("c.webm", "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 5004 RTP/AVP 0\n"),
    ):
        (tmp_path / name).write_text(content)
        with pytest.raises(Invalid) as caught:
            reader_of(tmp_path / name)
        assert caught.value.reason == "FILE_NOT_AUDIO"


def program(folder: Path, script: str, opening_s: float = 5.0) -> Decoders:
    """A decoder that does harm, in place of ffmpeg."""
    for name in ("ffmpeg", "ffprobe"):
        (folder / name).write_text(
            f"#!{sys.executable}\nimport os, struct, sys, time\nprobe = {name == 'ffprobe'}\n{script}"
        )
        (folder / name).chmod(0o755)
    return Decoders(str(folder / "ffmpeg"), Limits(stalled_s=1.0, opening_s=opening_s, cpu_s=1))


TELLS = """
if probe:
    print('{"streams": [{"codec_type": "audio"}], "format": {"format_name": "webm"}}')
    sys.exit()
out = sys.stdout.buffer
out.write(struct.pack('>4sIIIII', b'.snd', 24, 0xffffffff, 6, 16000, 1) + bytes(4 * 16000))
out.flush()
"""


@pytest.mark.parametrize(
    "harm", ["time.sleep(60)", "while True: pass", "sys.exit(3)", "os.kill(os.getpid(), 11)", "x = bytearray(1 << 31)"]
)
def test_a_decoder_that_goes_wrong_is_a_damaged_file(harm: str, tmp_path: Path) -> None:
    (tmp_path / "a.webm").write_bytes(b"\x1aE\xdf\xa3" + bytes(100))
    reader = reader_of(tmp_path / "a.webm", program(tmp_path, TELLS + harm))
    began_s = time.monotonic()
    with pytest.raises(DeviceError) as caught:
        heard(reader)
    assert caught.value.reason == "FILE_DAMAGED"
    assert time.monotonic() - began_s < 8
    assert reader.missing is None


@pytest.mark.parametrize("harm", ["time.sleep(60)", "print('x' * 100)", "sys.exit(3)", "print('{}')"])
def test_a_decoder_that_says_nothing_of_use_is_no_recording(harm: str, tmp_path: Path) -> None:
    (tmp_path / "a.webm").write_bytes(b"\x1aE\xdf\xa3" + bytes(100))
    with pytest.raises(Invalid) as caught:
        reader_of(tmp_path / "a.webm", program(tmp_path, harm, opening_s=1.0))
    assert caught.value.reason == "FILE_NOT_AUDIO"


def test_a_reader_that_waits_for_its_decoder_can_be_called_off(tmp_path: Path) -> None:
    (tmp_path / "a.webm").write_bytes(b"\x1aE\xdf\xa3" + bytes(100))
    decoders = Decoders(program(tmp_path, TELLS + "time.sleep(60)").ffmpeg, Limits(stalled_s=60.0))
    reader = reader_of(tmp_path / "a.webm", decoders)
    with ThreadPoolExecutor(1) as thread:
        waiting = thread.submit(heard, reader)
        time.sleep(0.5)
        began_s = time.monotonic()
        reader.abort()
        with pytest.raises(DeviceError):
            waiting.result()
    assert time.monotonic() - began_s < 3


def test_no_decoder_outlives_its_reader(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.mp3", speech(20.0), RATE, format="MP3")
    before = len(list(Path("/proc/self/fd").iterdir()))
    reader = reader_of(tmp_path / "a.mp3")
    process = reader._decoder._process._pid
    assert reader.read()
    assert Path(f"/proc/{process}").exists()
    reader.close()
    assert not Path(f"/proc/{process}").exists()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
