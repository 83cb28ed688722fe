"""Which names a session may have."""

import pytest

from minuted_daemon.core.session_rules import is_session_name


@pytest.mark.parametrize("name", ["a", "boardroom", "room-2", "a" * 63])
def test_good_names(name: str) -> None:
    assert is_session_name(name)


@pytest.mark.parametrize("name", ["", "A", "2nd", "room-", "-room", "a" * 64, "a_b", "a\n", "é"])
def test_bad_names(name: str) -> None:
    assert not is_session_name(name)
