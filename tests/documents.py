"""The documents as data: their code blocks, tables and links; and the table of settings that is made from the example.

`python -m tests.documents` writes that table anew (`make docs`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMES = (
    "README.md",
    "systemd/README.md",
    "proto/README.md",
    "clients/python/README.md",
    "daemon/README.md",
    "tests/README.md",
)
SETTINGS_BEGIN = "<!-- settings: made by `make docs` from minuted.toml -->\n"
SETTINGS_END = "<!-- end of settings -->\n"
SETTINGS_DOCUMENT = "systemd/README.md"

_FENCE = re.compile(r"(?ms)^```(\w*)\n(.*?)^```$")
_KEY = re.compile(r"(?P<comment># )?(?P<key>[a-z0-9_]+) = (?P<value>.+)")


@dataclass(frozen=True)
class Block:
    """A code block: `language` is sh, python, toml, or empty for what is only shown."""

    document: str
    language: str
    text: str


def read(name: str) -> str:
    return (ROOT / name).read_text()


def blocks() -> Iterator[Block]:
    """All code blocks of all documents."""
    for name in NAMES:
        for language, text in _FENCE.findall(read(name)):
            yield Block(name, language, text)


def commands() -> Iterator[tuple[str, str]]:
    """Every command in the documents' shell blocks, with the document's name; comments and continuations undone."""
    for block in blocks():
        if block.language == "sh":
            for line in block.text.replace("\\\n", " ").splitlines():
                command = re.sub(r"(^|\s)#.*", "", line).strip()
                if command:
                    yield block.document, command


def rows(text: str) -> list[list[str]]:
    """The cells of a text's tables, line by line."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def section(document: str, title: str) -> str:
    """What stands below a heading of a document, up to the next heading."""
    return read(document).partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def settings_table() -> str:
    """The table of settings: key, default and meaning as they stand in the example configuration."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    place, comment = "", ""
    for line in read("systemd/minuted.toml").splitlines():
        if header := re.fullmatch(r"(?:# )?\[([a-z_.]+)\]", line):
            place, comment = header[1].replace(".boardroom", ".NAME"), ""
        elif place and (key := _KEY.fullmatch(line)):
            value = re.sub(r"\s+#.*", "", key["value"])
            lines.append(f"| `{place}.{key['key']}` | `{value}` | {comment.strip().replace('|', '/')} |")
            comment = ""
        elif line.startswith("# "):
            comment += f"{line.removeprefix('# ')} "
        else:
            comment = ""
    return "\n".join(lines) + "\n"


def with_settings(text: str) -> str:
    """A document with the table of settings as it is now."""
    before, _, rest = text.partition(SETTINGS_BEGIN)
    _, _, after = rest.partition(SETTINGS_END)
    return f"{before}{SETTINGS_BEGIN}{settings_table()}{SETTINGS_END}{after}"


if __name__ == "__main__":
    (ROOT / SETTINGS_DOCUMENT).write_text(with_settings(read(SETTINGS_DOCUMENT)))
