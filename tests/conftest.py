"""What holds for all tests."""

import signal


def pytest_configure() -> None:
    """Take interrupts, in children too: a shell's background job is born deaf to them, and passes that on."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
