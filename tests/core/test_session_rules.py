import pytest

from minuted_daemon.core.session_rules import is_name


@pytest.mark.parametrize(
    "name",
    [
        "Meeting at 9.41.00\u202fAM.wav",
        "a\u00a0b",
        "\u4f1a\u8b70\u3000\u9332\u97f3",
        "\U0001f468\u200d\U0001f469",
        "\u2009thin\u200b\u2060\ufeff",
        "\u0627\u200f\u0628",
        "soft\u00adhyphen",
        "\ue000 of one's own",
        "",
    ],
)
def test_all_that_can_be_shown_in_a_line_is_a_name(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["a\0", "a\nb", "a\tb", "\x7f", "\x85", "a\u2028b", "a\u2029", "\ud83d", "\udc80x"])
def test_what_breaks_lines_or_is_half_a_letter_is_none(name: str) -> None:
    assert not is_name(name)
