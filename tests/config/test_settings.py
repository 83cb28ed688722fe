"""Reading and checking the configuration: everything that is wrong is told at once, and no secret is ever repeated."""

import dataclasses
from pathlib import Path

import pytest

from minuted_daemon.config.settings import SETTINGS, Config, load_config
from minuted_daemon.core.session_rules import SessionConfig
from minuted_daemon.errors import ConfigError

SECRET = "sk-proj-0123456789abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(autouse=True)
def _no_file_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("config.settings", "config.sources"):
        monkeypatch.setattr(f"minuted_daemon.{module}.DEFAULT_FILE", tmp_path / "etc" / "minuted.toml")


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "minuted.toml"
    file.write_text(text)
    return file


def problems_of(path: Path | None, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ or {})
    assert caught.value.reason == "CONFIG_INVALID"
    assert all("\n" not in problem for problem in caught.value.problems)
    return caught.value.problems


def the_problem(path: Path | None, environ: dict[str, str] | None = None) -> str:
    problems = problems_of(path, environ)
    assert len(problems) == 1, problems
    return problems[0]


def test_without_anything_all_is_at_its_default() -> None:
    assert load_config(None, {"PATH": "/bin", "MINUTED_ADDRESS": "unix:/x", "MINUTED_LOG_LEVEL": "debug"}) == Config()


def test_the_default_file_is_read_where_there_is_one(tmp_path: Path) -> None:
    file = tmp_path / "etc" / "minuted.toml"
    file.parent.mkdir()
    file.write_text("[merge]\njoin_gap_s = 0.5\n")
    config = load_config(None, {})
    assert config.merge.join_gap_s == 0.5
    assert config.file == file


def test_every_setting_has_a_field_and_every_field_a_setting() -> None:
    for section in dataclasses.fields(Config):
        if section.name == "file":
            continue
        kind = SessionConfig if section.name == "sessions" else type(getattr(Config(), section.name))
        fields = {field.name for field in dataclasses.fields(kind)} - {"api_key"}
        assert {"hold_back_s" if key == "hold_back" else key for key in SETTINGS[section.name]} == fields


def test_a_whole_file(tmp_path: Path) -> None:
    config = load_config(
        written(
            tmp_path,
            """
            [daemon]
            listen = ["unix:///tmp/a.sock", "127.0.0.1:7310", "[::1]:7310", "localhost:0"]
            state_dir = "/srv/minutes"
            [storage]
            url = "sqlite:////srv/minutes/m.db"
            [pyannote]
            base_url = "http://127.0.0.1:8080/"
            max_stream_s = 60
            [openai]
            base_url = "http://[::1]:8081/v1/?api-version=1"
            model = "Owner/gpt-some-day"
            noise_reduction = "far_field"
            prompt = " A board\\nmeeting. "
            languages = ["en", "pt-BR"]
            keywords = ["Ada Lovelace"]
            delay = "low"
            [network]
            proxy = "socks5h://127.0.0.1:9050"
            ca_file = ""
            [merge]
            hold_back = 0.75
            max_turn_s = 10
            [links]
            retry_refused_s = 60
            [spool]
            max_gb = 1
            [sessions.boardroom]
            device = "USB: Jabra, Mono"
            diarizer = "local"
            transcriber = "none"
            autostart = true
            languages = ["de"]
            fallback = "local"
            [sessions.lab-2]
            """,
        ),
        {},
    )
    assert config.daemon.listen == ("unix:/tmp/a.sock", "127.0.0.1:7310", "[::1]:7310", "localhost:0")
    assert config.daemon.state_dir == Path("/srv/minutes")
    assert config.storage.url == "sqlite:////srv/minutes/m.db"
    assert (config.pyannote.base_url, config.pyannote.max_stream_s) == ("http://127.0.0.1:8080", 60.0)
    assert config.openai.base_url == "http://[::1]:8081/v1?api-version=1"
    assert (config.openai.noise_reduction, config.openai.prompt) == ("far_field", "A board\nmeeting.")
    assert (config.network.proxy, config.network.ca_file) == ("socks5h://127.0.0.1:9050", None)
    assert config.openai.languages == ("en", "pt-BR")
    assert (config.openai.model, config.openai.keywords, config.openai.delay) == (
        "Owner/gpt-some-day",
        ("Ada Lovelace",),
        "low",
    )
    assert (config.merge.hold_back_s, config.merge.max_turn_s, config.merge.freeze_s) == (0.75, 10.0, 300.0)
    assert (config.links.retry_refused_s, config.spool.max_gb) == (60.0, 1.0)
    assert config.sessions == {
        "boardroom": SessionConfig("USB: Jabra, Mono", "local", "none", True, ("de",), "local"),
        "lab-2": SessionConfig(),
    }


def test_variables_win_over_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "[merge]\njoin_gap_s = 0.5\nhold_back = 1\n[sessions.boardroom]\ndevice = 'a'\n")
    config = load_config(
        file,
        {
            "MINUTED_MERGE__JOIN_GAP_S": "0.6",
            "MINUTED_MERGE__HOLD_BACK": "auto",
            "MINUTED_DAEMON__LISTEN": "unix:/tmp/a.sock, localhost:7310",
            "MINUTED_OPENAI__LANGUAGES": '["en", "de"]',
            "MINUTED_OPENAI__KEYWORDS": "",
            "MINUTED_SESSIONS__BOARDROOM__DEVICE": "b",
            "MINUTED_SESSIONS__LAB_2__AUTOSTART": "yes",
            "MINUTED_SESSIONS__LAB_2__CHANNELS": "3, 1",
            "MINUTED_SESSIONS__LAB_2__MIX": "loudest",
        },
    )
    assert config.merge.join_gap_s == 0.6
    assert config.merge.hold_back_s is None
    assert config.daemon.listen == ("unix:/tmp/a.sock", "localhost:7310")
    assert config.openai.languages == ("en", "de")
    assert config.openai.keywords == ()
    assert config.sessions["boardroom"].device == "b"
    assert config.sessions["lab-2"].autostart is True
    assert (config.sessions["lab-2"].channels, config.sessions["lab-2"].mix) == ((3, 1), "loudest")


def test_relative_paths_count_from_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environ = {"MINUTED_DAEMON__STATE_DIR": "state", "MINUTED_DAEMON__LISTEN": "unix:m.sock"}
    config = load_config(None, environ | {"MINUTED_SESSIONS__A__DEVICE": "file:x.wav"})
    assert config.daemon.state_dir == tmp_path / "state"
    assert config.daemon.listen == (f"unix:{tmp_path}/m.sock",)
    assert config.sessions["a"].device == f"file:{tmp_path}/x.wav"


@pytest.mark.parametrize(
    "name", ["9.41.00\u202fAM.wav", "a\u00a0b.wav", "\u4f1a\u8b70\u3000.wav", "\U0001f468\u200d\U0001f469.wav"]
)
def test_a_file_may_have_any_name_that_can_be_shown(name: str) -> None:
    config = load_config(None, {"MINUTED_SESSIONS__A__DEVICE": f"file:/srv/{name}"})
    assert config.sessions["a"].device == f"file:/srv/{name}"


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        """
        stray = 1
        [deamon]
        x = 1
        [daemon]
        listen = "unix:/tmp/a.sock"
        state_dri = "/tmp"
        [merge]
        join_gap_s = "long"
        max_turn_s = 0.5
        freeze_s = true
        [sessions.Board_Room]
        [sessions.lab]
        diarizer = "none"
        transcriber = "none"
        [sessions.attic]
        transcriber = "whisper"
        """,
    )
    problems = problems_of(file, {"MINUTED_MERGE__HOLD_BAK": "1", "MINUTED_MERGE__HOLD_BACK": "soon"})
    expected = [
        ("stray", "section"),
        ("deamon.x", "did you mean daemon?"),
        ("daemon.listen", "list"),
        ("daemon.state_dri", "did you mean state_dir?"),
        ("merge.join_gap_s", '"long"'),
        ("merge.max_turn_s", "from 1 to 300 seconds"),
        ("merge.freeze_s", "number"),
        ("Board_Room", "small letters"),
        ("sessions.lab", "cannot both be none"),
        ("sessions.attic.transcriber", "auto, openai, local or none"),
        ("MINUTED_MERGE__HOLD_BAK", "did you mean MINUTED_MERGE__HOLD_BACK?"),
        ("MINUTED_MERGE__HOLD_BACK ", '"auto"'),
    ]
    for key, remedy in expected:
        assert any(key in problem and remedy in problem for problem in problems), (key, remedy, problems)
    assert len(problems) == len(expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DAEMON__LISTEN", "0.0.0.0:7310"),
        ("DAEMON__LISTEN", "room.example:7310"),
        ("DAEMON__LISTEN", "unix:"),
        ("DAEMON__LISTEN", f"unix:/{'x' * 120}"),
        ("DAEMON__LISTEN", "localhost:70000"),
        ("DAEMON__LISTEN", "localhost"),
        ("DAEMON__LISTEN", ""),
        ("DAEMON__LISTEN", "unix:/a,unix:///a"),
        ("DAEMON__LISTEN", "[1]"),
        ("DAEMON__STATE_DIR", ""),
        ("DAEMON__STATE_DIR", "~/minutes"),
        ("DAEMON__STATE_DIR", f"/srv/{'ä' * 128}"),
        ("DAEMON__STATE_DIR", "/srv" * 1_024),
        ("STORAGE__URL", "postgresql://db/minutes"),
        ("STORAGE__URL", "sqlite://"),
        ("STORAGE__URL", "sqlite:///:memory:"),
        ("STORAGE__URL", f"sqlite:////srv/{'x' * 256}"),
        ("PYANNOTE__BASE_URL", "http://api.pyannote.ai"),
        ("PYANNOTE__BASE_URL", "ftp://localhost"),
        ("PYANNOTE__BASE_URL", "https://"),
        ("PYANNOTE__BASE_URL", "https://[::1"),
        ("PYANNOTE__BASE_URL", "https://user:secret@host"),
        ("PYANNOTE__BASE_URL", "https://host/?token=secret"),
        ("PYANNOTE__MAX_STREAM_S", "0"),
        ("PYANNOTE__MAX_STREAM_S", "1" + "0" * 400),
        ("OPENAI__BASE_URL", "http://localhost.example.com/v1"),
        ("OPENAI__MODEL", ""),
        ("OPENAI__DELAY", "none"),
        ("OPENAI__LANGUAGES", "en,english please"),
        ("OPENAI__KEYWORDS", "a<b"),
        ("OPENAI__KEYWORDS", "a\rb"),
        ("MERGE__MAX_TURN_S", "nan"),
        ("MERGE__MAX_TURN_S", "inf"),
        ("MERGE__JOIN_GAP_S", "-1"),
        ("SPOOL__MAX_GB", "0"),
        ("SESSIONS__A__DEVICE", ""),
        ("SESSIONS__A__DEVICE", "file:"),
        ("SESSIONS__A__DEVICE", "/srv/meeting.wav"),
        ("SESSIONS__A__DEVICE", "./meeting.wav"),
        ("SESSIONS__A__DEVICE", "a\x1b[2J"),
        ("SESSIONS__A__DEVICE", "a\u2028b"),
        ("SESSIONS__A__CHANNELS", "0"),
        ("SESSIONS__A__CHANNELS", "[true]"),
        ("SESSIONS__A__CHANNELS", "1,1"),
        ("SESSIONS__A__CHANNELS", "left"),
        ("SESSIONS__A__MIX", "stereo"),
        ("SESSIONS__A__AUTOSTART", "perhaps"),
        ("SESSIONS__A_____DEVICE", "default"),
        ("SESSIONS__DEVICE", "default"),
        ("SESSIONS__1ST__DEVICE", "default"),
        ("Merge__Join_gap_s", "1"),
        ("__", "1"),
        ("MERGE__", "1"),
        ("RECORDER__GAIN", "1"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, value: str) -> None:
    problem = the_problem(None, {f"MINUTED_{name}": value})
    assert "secret" not in problem
    key = "sessions" if "A____" in name or "1ST" in name else f"MINUTED_{name}"
    assert key in problem


@pytest.mark.parametrize("digits", ["1" + "0" * 400, "-1" + "0" * 400, "0x1" + "0" * 5_000, "1" + "0" * 5_000])
def test_a_huge_whole_number_is_one_mistake(tmp_path: Path, digits: str) -> None:
    problem = the_problem(written(tmp_path, f"[pyannote]\nmax_stream_s = {digits}\n"))
    assert "from 1 to 86400 seconds" in problem or "thousands of digits" in problem
    assert len(problem) < 150 + len(str(tmp_path))
    assert "listen" in the_problem(None, {"MINUTED_DAEMON__LISTEN": f"[{digits}]"}).lower()


def test_cut_gap_must_be_shorter_than_a_turn() -> None:
    assert "join_gap_s" in the_problem(None, {"MINUTED_MERGE__JOIN_GAP_S": "3", "MINUTED_MERGE__MAX_TURN_S": "2"})


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("[daemon]\nlisten = [\n", ":2:"),
        ("[daemon]\nlisten == 1\n", ":2:9:"),
        ("x\n", ":1:2:"),
        ("a = 1\na = 2", ":2:"),
    ],
)
def test_a_syntax_error_is_told_with_its_place_and_the_rest_is_checked(tmp_path: Path, text: str, place: str) -> None:
    problems = problems_of(written(tmp_path, text), {"MINUTED_MERGE__JOIN_GAP_S": "x"})
    assert len(problems) == 2
    assert f"minuted.toml{place}" in problems[0]


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert "no such file" in the_problem(tmp_path / "absent.toml")
    assert "directory" in the_problem(tmp_path)
    file = tmp_path / "latin.toml"
    file.write_bytes(b"# K\xfcche\n")
    assert "latin.toml:1:4: is not UTF-8" in the_problem(file)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "minuted.toml"
    file.write_bytes(b"\xef\xbb\xbf[merge]\r\njoin_gap_s = 0.5\r\n")
    assert load_config(file, {}).merge.join_gap_s == 0.5
    file.write_bytes(b"\xef\xbb\xbfx\n")
    assert "minuted.toml:1:2:" in the_problem(file)
    file.write_bytes(b"\xef\xbb\xbf# K\xfcche\n")
    assert "minuted.toml:1:4: is not UTF-8" in the_problem(file)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_text_of_wide_characters_is_refused_with_its_name(tmp_path: Path, encoding: str, mark: str) -> None:
    file = tmp_path / "minuted.toml"
    file.write_bytes(f"{mark}[merge]\njoin_gap_s = 0.5\n".encode(encoding))
    assert f"{file}: is {encoding[:6].upper()}" in the_problem(file)
    file.write_text("")
    key = key_file(tmp_path, "openai_api_key", "")
    key.write_bytes(f"{mark}{SECRET}\n".encode(encoding))
    problem = the_problem(file)
    assert f"{key}: is {encoding[:6].upper()}" in problem
    assert SECRET not in problem


def key_file(directory: Path, name: str, text: str, mode: int = 0o600) -> Path:
    directory.mkdir(exist_ok=True)
    file = directory / name
    file.write_text(text)
    file.chmod(mode)
    return file


def test_keys_come_from_credentials_then_files_then_variables(tmp_path: Path) -> None:
    file = written(tmp_path, f"[daemon]\nstate_dir = '{tmp_path}/state'\n")
    environ = {"OPENAI_API_KEY": " from-variable\n", "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    assert load_config(file, environ).openai.api_key == "from-variable"
    key_file(tmp_path / "state", "openai_api_key", "from-state\n")
    assert load_config(file, environ).openai.api_key == "from-state"
    key_file(tmp_path, "openai_api_key", "\n from-beside \n")
    assert load_config(file, environ).openai.api_key == "from-beside"
    key_file(tmp_path / "credentials", "openai_api_key", "\n", 0o444)
    assert load_config(file, environ).openai.api_key == "from-beside"
    key_file(tmp_path / "credentials", "openai_api_key", "from-credential", 0o444)
    assert load_config(file, environ).openai.api_key == "from-credential"
    assert load_config(file, environ).pyannote.api_key is None


def test_a_byte_order_mark_is_no_part_of_a_key(tmp_path: Path) -> None:
    file = written(tmp_path, f"[daemon]\nstate_dir = '{tmp_path}/state'\n")
    environ = {"OPENAI_API_KEY": "\ufefffrom-variable", "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    assert load_config(file, environ).openai.api_key == "from-variable"
    key_file(tmp_path, "openai_api_key", "\ufefffrom-file\r\n")
    assert load_config(file, environ).openai.api_key == "from-file"
    key_file(tmp_path / "credentials", "openai_api_key", "\ufefffrom-credential\n", 0o400)
    assert load_config(file, environ).openai.api_key == "from-credential"
    key_file(tmp_path / "credentials", "openai_api_key", "\ufeff\n", 0o400)
    assert load_config(file, environ).openai.api_key == "from-file"


def test_an_empty_key_is_none(tmp_path: Path) -> None:
    file = written(tmp_path, f"[daemon]\nstate_dir = '{tmp_path}/state'\n")
    key_file(tmp_path, "pyannoteai_api_key", "  \n")
    assert load_config(file, {"PYANNOTEAI_API_KEY": " "}).pyannote.api_key is None


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = written(tmp_path, f"[daemon]\nstate_dir = '{tmp_path}/state'\n")
    key = key_file(tmp_path, "openai_api_key", SECRET, 0o640)
    problem = the_problem(file)
    assert f"chmod 600 {key}" in problem
    assert SECRET not in problem


@pytest.mark.parametrize("content", [f"{SECRET}\nsecond line", "käse" + SECRET, f"key = {SECRET}", "x" * 5000])
def test_what_is_no_key_is_refused_and_not_repeated(tmp_path: Path, content: str) -> None:
    file = written(tmp_path, f"[daemon]\nstate_dir = '{tmp_path}/state'\n")
    key_file(tmp_path, "openai_api_key", content)
    problem = the_problem(file)
    assert "openai_api_key" in problem
    assert SECRET not in problem


def test_a_key_in_the_wrong_place_is_told_where_to_go_and_never_shown(tmp_path: Path) -> None:
    file = written(tmp_path, f"[openai]\napi_key = '{SECRET}'\nmodel = '{SECRET} '\ndelay = '{SECRET}'\n")
    environ = {"MINUTED_PYANNOTE__API_KEY": SECRET}
    problems = problems_of(file, environ)
    assert any("openai.api_key" in problem and "OPENAI_API_KEY" in problem for problem in problems)
    assert any("MINUTED_PYANNOTE__API_KEY" in problem and "PYANNOTEAI_API_KEY" in problem for problem in problems)
    with pytest.raises(ConfigError) as caught:
        load_config(file, environ)
    assert SECRET not in repr(caught.value) + str(caught.value) + "".join(problems)


def test_keys_do_not_show_in_a_repr(tmp_path: Path) -> None:
    config = load_config(None, {"OPENAI_API_KEY": SECRET, "PYANNOTEAI_API_KEY": SECRET})
    assert config.openai.api_key == SECRET
    assert SECRET not in repr(config)
