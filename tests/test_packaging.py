"""The distribution: what is in the wheel, that it works from there, and that the base install stays small."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from email import message_from_bytes
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = (ROOT / "constraints.txt").read_text().splitlines()

MODELS = "minuted_daemon/adapters/local/models"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built with what is installed here."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as it lies in site-packages."""
    folder = tmp_path_factory.mktemp("site")
    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def python(installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python where the wheel is found before the checkout, from elsewhere, with nothing configured."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("MINUTED_", "PYTHON"))}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=installed,
        env=environ | {"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
        timeout=15,
    )


def test_the_wheel_holds_all_that_runs_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = {
        str(file.relative_to(top))
        for top in (ROOT / "daemon", ROOT / "clients/python")
        for file in top.rglob("*")
        if file.is_file()
        and file != top / "README.md"
        and not any(part.startswith((".", "__pycache__")) for part in file.relative_to(top).parts)
    }
    migrations = {
        f"minuted_daemon/migrations/{file.relative_to(ROOT / 'migrations')}"
        for file in (ROOT / "migrations").rglob("*")
        if file.suffix in (".py", ".mako")
    }
    inside = {name for name in names if ".dist-info/" not in name}
    assert inside == sources | migrations
    assert {
        "minuted_daemon/demo.flac",
        "minuted_daemon/migrations/env.py",
        "minuted/py.typed",
        "minuted/v1/turns_pb2.py",
        f"{MODELS}/campplus-192.onnx",
        f"{MODELS}/segmentation-3.0.onnx",
        f"{MODELS}/LICENSE-campplus.txt",
        f"{MODELS}/LICENSE-segmentation-3.0.txt",
        f"{MODELS}/LICENSE-silero-vad.txt",
        f"{MODELS}/silero-vad-16k.safetensors",
    } <= inside


def test_the_wheel_carries_its_licences(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        told = message_from_bytes(archive.read(metadata))
        licences = [Path(name).name for name in told.get_all("License-File", [])]
        assert sorted(licences) == [
            "LICENSE",
            "LICENSE-campplus.txt",
            "LICENSE-segmentation-3.0.txt",
            "LICENSE-silero-vad.txt",
        ]
        folder = metadata.removesuffix("METADATA") + "licenses/"
        assert all(archive.read(folder + name) for name in told.get_all("License-File", []))
    assert told["License-Expression"] == PROJECT["project"]["license"]
    assert {*told.get_all("Provides-Extra", [])} == {"daemon", "local", "web"}


def test_the_daemon_works_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    version = python(installed, "-m", "minuted_daemon", "--version")
    assert version.stdout == f"minuted {PROJECT['project']['version']}\n"
    settings = tmp_path / "minuted.toml"
    settings.write_text(f'[daemon]\nlisten = ["unix:{tmp_path}/sock"]\nstate_dir = "{tmp_path}"\n')
    checked = python(installed, "-m", "minuted_daemon", "check", "--config", str(settings))
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout.startswith("ok: ")


def test_the_wheel_brings_its_tables_its_recording_and_its_models(installed: Path, tmp_path: Path) -> None:
    used = python(
        installed,
        "-c",
        "import asyncio, minuted_daemon\n"
        "from minuted_daemon.adapters.local.availability import local_engine_missing\n"
        "from minuted_daemon.adapters.storage.store import open_store\n"
        "from minuted_daemon.demo import RECORDING\n"
        "async def main():\n"
        f"    store = await open_store('sqlite:///{tmp_path}/minuted.db')\n"
        "    await store.close()\n"
        "asyncio.run(main())\n"
        "print(minuted_daemon.__file__, RECORDING.stat().st_size > 100_000, local_engine_missing())",
    )
    assert used.stdout == f"{installed}/minuted_daemon/__init__.py True None\n", used.stderr
    assert (tmp_path / "minuted.db").stat().st_size > 0


def test_the_base_install_is_enough_for_clients(installed: Path, tmp_path: Path) -> None:
    base = _needed(PROJECT["project"]["dependencies"])
    assert not base & {"numpy", "sqlalchemy", "httpx", "structlog"}
    for name in base:
        package = distribution(name)
        for top in {file.parts[0] for file in package.files or () if file.parts[0] != ".."}:
            link = tmp_path / top
            if not link.exists():
                link.symlink_to(Path(str(package.locate_file(top))))
    program = (
        f"import sys; sys.path[:0] = [{str(installed)!r}, {str(tmp_path)!r}]\n"
        "import minuted, minutectl.captions, minutectl.cli\n"
        "assert minuted.connect and not {'numpy', 'minuted_daemon'} & set(sys.modules)\n"
        "sys.exit(minutectl.cli.main(['--address', 'unix:/nowhere', 'info']))"
    )
    # -S: no site-packages but what was linked here.
    told = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stdout) == (69, "")
    assert "not reachable" in told.stderr


def test_every_package_is_pinned_once_by_version_alone() -> None:
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*==[0-9][A-Za-z0-9.]*", line) for line in PINS)
    pins = {canonicalize_name(line.partition("==")[0]): line.partition("==")[2] for line in PINS}
    assert len(pins) == len(PINS)
    everything = [
        *PROJECT["build-system"]["requires"],
        *PROJECT["project"]["dependencies"],
        *(line for extra in PROJECT["project"]["optional-dependencies"].values() for line in extra),
        *PROJECT["dependency-groups"]["dev"],
    ]
    assert set(pins) == _needed(everything)
    for line in everything:
        requirement = Requirement(line)
        assert requirement.url is None
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)]), line


def _needed(lines: list[str]) -> set[str]:
    """Return the names of everything these requirements install here, themselves included."""
    return {name for line in lines for name in _with_needs(Requirement(line), set())}


def _with_needs(requirement: Requirement, done: set[tuple[str, str]]) -> Iterator[str]:
    name = canonicalize_name(requirement.name)
    for extra in ("", *requirement.extras):
        if (name, extra) in done:
            continue
        done.add((name, extra))
        yield name
        environment = {key: str(value) for key, value in default_environment().items()} | {"extra": extra}
        try:
            needs = distribution(name).requires or []
        except PackageNotFoundError:
            pytest.fail(f"{name} is not installed: run make check")
        for need in map(Requirement, needs):
            if need.marker is None or need.marker.evaluate(environment):
                yield from _with_needs(need, done)
