"""Who is who: which speaker a voice is, over all epochs of a session.

A label of one epoch is a voice; a voice is a speaker from its first turn. What shows that two voices are one person is
found elsewhere (label_matching.py for epochs that ran side by side); here is only what was decided, for good.
"""

from minuted_daemon.core.diarization.timeline import Voice
from minuted_daemon.core.events import SpeakerNumber


class Identity:
    """Numbers the speakers and remembers which voices and numbers are the same person."""

    def __init__(self, speakers: int = 0) -> None:
        """`speakers`: how many have a number already."""
        self._names: dict[Voice, Voice] = {}
        self._numbers: dict[Voice, SpeakerNumber] = {}
        self._merged: dict[SpeakerNumber, SpeakerNumber] = {}
        self._next = speakers + 1
        self.changes = 0
        """Rises with every change of a voice's speaker."""

    def recall(self, voice: Voice, number: SpeakerNumber) -> None:
        """A voice from before the daemon's start is this speaker."""
        self._numbers[voice] = number
        self.changes += 1

    def voice(self, voice: Voice) -> Voice:
        """Return the voice that stands for this one: itself, or that of an earlier epoch."""
        return self._names.get(voice, voice)

    def speaker(self, voice: Voice) -> SpeakerNumber:
        """Return the voice's speaker; a new one if it has had no turn yet."""
        number = self.known(voice)
        if number is None:
            number = self._numbers[self.voice(voice)] = SpeakerNumber(self._next)
            self._next += 1
            self.changes += 1
        return number

    def known(self, voice: Voice) -> SpeakerNumber | None:
        """Return the voice's speaker, None before its first turn."""
        number = self._numbers.get(self.voice(voice))
        return None if number is None else self.usage(number)

    def usage(self, number: SpeakerNumber) -> SpeakerNumber:
        """Return the speaker's present number: its own, or that of the speaker it was joined to."""
        return self._merged.get(number, number)

    def rename(self, newer: Voice, older: Voice) -> None:
        """`newer`, of which no turn knows yet, is `older`: its speech goes on under the older voice."""
        self._names[newer] = self.voice(older)
        self.changes += 1

    def join(self, newer: Voice, older: Voice) -> bool:
        """Two voices that turns may know of are one speaker; return whether a speaker who had a turn changed."""
        number, found = self.known(older), self.known(newer)
        if number is None and found is None:
            self.rename(newer, older)
            return False
        if number is not None and found is not None:
            return self.match(found, number)
        for voice in (newer, older):
            self._numbers[self.voice(voice)] = self.speaker(older if found is None else newer)
        self.changes += 1
        return False

    def match(self, newer: SpeakerNumber, older: SpeakerNumber) -> bool:
        """All voices of `newer` become `older`'s; return whether that changed anything."""
        gone, stays = self.usage(newer), self.usage(older)
        if gone == stays or not self._exists(gone) or not self._exists(stays):
            return False
        self._merged[gone] = stays
        self.changes += 1
        for number, into in self._merged.items():
            if into == gone:
                self._merged[number] = stays
        return True

    def _exists(self, number: SpeakerNumber) -> bool:
        return 0 < number < self._next
