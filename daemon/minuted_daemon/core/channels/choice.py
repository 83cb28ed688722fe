"""Which channels of a source are heard. No numpy here: a capture worker reads this before it needs that."""

from dataclasses import dataclass

MOST_CHANNELS = 64
MIXES = ("best", "mean", "first", "loudest")


@dataclass(frozen=True, slots=True)
class ChannelChoice:
    """Which channels of a source are heard, from 1 on (none named: all of them), and how they become one.

    mix: `first` of them, their `mean`, the `loudest`, or `best`: the mean of those that carry sound, each the right way
    up.
    """

    channels: tuple[int, ...] = ()
    mix: str = "best"

    def lacking(self, count: int) -> tuple[int, ...]:
        """Return the chosen channels that a source with so many does not have."""
        return tuple(channel for channel in self.channels if channel > count)


EVERY_CHANNEL = ChannelChoice()
