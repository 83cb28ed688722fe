"""Which texts are marked as invented, and which of what people say is not."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minuted_daemon.core.events import Evidence, SuspectReason
from minuted_daemon.core.samples import samples
from minuted_daemon.core.suspicion.judge import Said, Suspicion
from tests.bench.real_texts import meetings, segments, utterances
from tests.fakes import invented

BOILERPLATE, NO_SPEECH, REPETITION = SuspectReason.BOILERPLATE, SuspectReason.NO_SPEECH, SuspectReason.REPETITION
TOO_FAST, CUMULATIVE = SuspectReason.TOO_FAST, SuspectReason.CUMULATIVE


def said(
    text: str, length_s: float = 2.0, spoken_s: float | None = None, claimed: bool | None = True, **more: object
) -> Said:
    """Without `spoken_s`: four fifths of it are speech."""
    evidence = of_speech(samples(0.8 * length_s if spoken_s is None else spoken_s))
    more.setdefault("start", 0)
    return Said(text, length=samples(length_s), evidence=evidence, claimed=claimed, **more)  # type: ignore[arg-type]


def of_speech(length: int) -> Evidence:
    return Evidence(length, length)


def judged(text: str, *lengths: float, claimed: bool | None = True, languages: tuple[str, ...] = ()) -> object:
    return Suspicion(languages).judge(1, said(text, *lengths, claimed=claimed))


def talk(suspicion: Suspicion, *texts: Said | str) -> list[SuspectReason | None]:
    """One after the other, 3 s apart, each 2 s long unless said otherwise."""
    told = [one if isinstance(one, Said) else said(one, start=samples(3.0 * n)) for n, one in enumerate(texts)]
    return [suspicion.judge(n, one) for n, one in enumerate(told)]


def of(table: Mapping[str, Sequence[str]]) -> list[object]:
    named = [(language, line) for language, lines in table.items() for line in lines]
    return [pytest.param(line, id=f"{language}: {line}") for language, line in named]


# --- lines that such models know by heart -----------------------------------------------------------------------------


@pytest.mark.parametrize("line", of(invented.CREDITS))
def test_a_subtitle_credit_is_marked_whatever_is_under_it(line: str) -> None:
    for claimed in (True, False, None):
        assert judged(line, 3.0, claimed=claimed) is BOILERPLATE
        assert judged(f"  {line.upper()} ", 3.0, claimed=claimed, languages=("fi",)) is BOILERPLATE
    assert Suspicion().judge(1, Said(line, 0, 48_000)) is BOILERPLATE, "also where nobody knows what is under it"


@pytest.mark.parametrize("line", of(invented.CLOSINGS))
def test_a_closing_is_marked_unless_the_speech_under_it_fits(line: str) -> None:
    assert judged(line, 2.5) is None, "it may be the end of a talk"
    assert judged(line, 0.3, 0.1) is BOILERPLATE, "a tap on the table"
    assert judged(line, 0.3, 0.2, claimed=False) in (BOILERPLATE, NO_SPEECH)
    assert judged(line, 2.5, 0.0) is NO_SPEECH


def test_a_closing_that_a_diarizer_did_not_hear_or_nobody_there_would_say_is_marked() -> None:
    assert judged("Thank you for watching!", 2.0, claimed=False) is BOILERPLATE
    assert judged("Thank you for watching!", 20.0, 15.0) is BOILERPLATE, "music"
    assert judged("Abone olmayı unutmayın.", 2.5, languages=("en",)) is BOILERPLATE
    assert judged("Abone olmayı unutmayın.", 2.5, languages=("tr-TR",)) is None
    assert Suspicion(diarized=False).judge(1, said("Thank you for watching!", claimed=False)) is None
    assert talk(Suspicion(), "Thanks for watching!", "Thanks for watching!") == [None, BOILERPLATE]


@pytest.mark.parametrize("line", of(invented.EVERYDAYS))
def test_what_people_say_all_day_is_marked_only_without_speech(line: str) -> None:
    assert judged(line, 1.0) is None
    assert judged(line, 1.0, claimed=False) is None
    assert judged(line, 0.1, 0.05) in (BOILERPLATE, NO_SPEECH)


def test_what_people_say_all_day_is_marked_where_it_comes_without_end() -> None:
    taps = [said("Thank you.", 0.4, 0.3, claimed=False, start=samples(30.0 * n)) for n in range(6)]
    assert talk(Suspicion(), *taps) == [None, None, *[BOILERPLATE] * 4]
    goodbyes = [said("Bye.", 0.5, start=samples(float(n)), holder=n % 4) for n in range(8)]
    assert talk(Suspicion(), *goodbyes) == [None] * 8, "four people leave"


def test_a_sentence_that_only_speaks_of_such_a_line_is_none() -> None:
    for text in (
        "The subtitles by Anna are wrong on slide five, can we fix them?",
        "So thanks for watching the demo, any questions about the budget?",
        "Could you please subscribe to the mailing list of the project?",
        "Untertitel der Folie vier ist falsch geschrieben.",
        "We should ask for a transcript by Friday.",
        "Like channel two, it has no subtitles.",
        "Yeah (laughter) I know.",
        "字幕はあとで確認します。",
    ):
        assert judged(text, 4.0) is None, text
        assert judged(text, 4.0, claimed=False) is None, text


# --- no speech, loops, haste ------------------------------------------------------------------------------------------


def test_no_speech_or_far_too_little() -> None:
    for sentence in invented.SENTENCES:
        assert judged(sentence, 3.0, 0.0) is NO_SPEECH
        assert judged(sentence, 3.0, 0.1) is NO_SPEECH
        assert judged(sentence, 3.0, 0.6) is None, "of faint speech energy finds little"
        assert Suspicion().judge(1, Said(sentence, 0, 48_000)) is None, "nobody knows"
    assert judged("Mm-hmm.", 0.25, 0.1) is None
    assert judged("Yes.", 0.2, 0.08) is None


def test_where_the_judges_differ_a_diarizer_that_claims_has_the_casting_vote() -> None:
    def mark(text: str, spoken_s: float, voiced_s: float, claimed: bool) -> SuspectReason | None:
        evidence = Evidence(samples(spoken_s), samples(voiced_s))
        return Suspicion().judge(1, Said(text, 0, samples(3.0), evidence, claimed))

    sentence = invented.SENTENCES[0]
    assert mark(sentence, 0.0, 2.0, True) is None, "energy and the diarizer heard it, the model did not"
    assert mark(sentence, 2.0, 0.0, True) is None
    assert mark(sentence, 0.0, 0.0, True) is NO_SPEECH
    assert mark(sentence, 0.0, 2.0, False) is NO_SPEECH, "a fan"
    assert mark("Thank you for watching!", 0.0, 2.0, True) is BOILERPLATE


@pytest.mark.parametrize("text", invented.LOOPS, ids=lambda text: text[:16])
def test_loops(text: str) -> None:
    assert judged(text, 20.0) is REPETITION


@pytest.mark.parametrize(
    "text",
    [
        "Yes, yes, yes.",
        "No no no no no no no.",
        "Yeah, yeah, yeah, yeah, yeah, yeah.",
        "Thank you. Thank you. Thank you.",
        "I don't know, I don't know, I don't know.",
        "Bye bye bye, bye bye.",
        "はいはいはいはい",
        "对对对对对对",
        "哈哈哈哈哈哈哈哈",
        "hahahahaha",
        "Hmmmmmm.",
        "Nooooooo!",
        "It is zero point zero zero zero zero one.",
        "So that that that that is what I mean.",
    ],
)
def test_people_repeat_themselves_too(text: str) -> None:
    assert judged(text, 2.5) is None
    assert judged(text, 2.5, claimed=False) is None


@pytest.mark.parametrize(
    "text",
    [
        "What I would say is that the remote control has to be made of wood, because older people like to hold wood, "
        "and that it needs a display which one can read in the dark without looking for glasses first.",
        "Что я хотел бы сказать: пульт должен быть из дерева, потому что пожилым людям нравится держать в руках "
        "дерево, и ему нужен экран, который можно прочитать в темноте без очков.",
        "私が言いたいのは、このリモコンは木で作るべきだということです。年配の方は木の手触りが好きですし、暗いところでも読める画面が必要です。",
        "我想说的是这个遥控器应该用木头做因为老年人喜欢木头的手感而且还需要一个在黑暗中也能看清楚的屏幕才行",
        "제가 말씀드리고 싶은 것은 이 리모컨은 나무로 만들어야 한다는 것입니다 "
        "어르신들은 나무의 촉감을 좋아하시고 어두운 곳에서도 보이는 화면이 필요합니다",
        "ما أريد قوله هو أن جهاز التحكم يجب أن يكون من الخشب "
        "لأن كبار السن يحبون ملمس الخشب ويحتاج إلى شاشة يمكن قراءتها في الظلام بدون نظارات",
    ],
    ids=["en", "ru", "ja", "zh", "ko", "ar"],
)
def test_faster_than_anybody_speaks(text: str) -> None:
    assert judged(text, 1.0) is TOO_FAST
    assert judged(text, 12.0) is None


# --- the turn before again --------------------------------------------------------------------------------------------


def test_texts_that_pile_up() -> None:
    one = "Shall we begin with the budget today?"
    two = f"{one} It is twelve Euros fifty."
    three = f"{two} And who has the figures of last year?"
    assert talk(Suspicion(), one, two, three) == [None, CUMULATIVE, CUMULATIVE]
    assert talk(Suspicion(), one, "It is twelve Euros fifty.", "And who has them?") == [None] * 3


def test_texts_that_pile_up_and_are_heard_otherwise_each_time() -> None:
    """Source: livekit/agents issue 3312."""
    assert talk(
        Suspicion(("ja",)),
        said("名前はロヒです。わかりますか?", 4.0, start=0),
        said(
            "名前はロヒットです。わかりますか?はい、わかりますと、何の仕事はどんなを働きますか?",
            8.0,
            start=samples(6.0),
        ),
        said(
            "名前はロヒットです。わかりますか?はい、わかります。仕事はどんなを働きますか?そうですね、どうする。"
            "はい、すみません、そうですね、ありがとう。",
            12.0,
            start=samples(16.0),
        ),
    ) == [None, CUMULATIVE, CUMULATIVE]


def test_a_long_text_that_comes_twice_and_a_short_one_that_may() -> None:
    long = "The remote control is going to be made of wood and rubber."
    assert talk(Suspicion(), long, long) == [None, CUMULATIVE]
    assert talk(Suspicion(), "Yes, I think so.", "Yes, I think so.") == [None, None]
    assert talk(Suspicion(), "I think we should", "I think we should go on.") == [None, None], "a new beginning"
    assert talk(Suspicion(), "Yeah.", "Yeah, that is what I have meant.") == [None, None]


def test_a_text_that_is_judged_again_is_not_its_own_predecessor() -> None:
    long = "The remote control is going to be made of wood and rubber."
    suspicion = Suspicion()
    assert [suspicion.judge(7, said(long)) for _ in range(3)] == [None] * 3
    suspicion.forget(7)
    assert suspicion.judge(8, said(long, start=9)) is None
    assert suspicion.judge(9, said(long, start=5)) is None, "it was said before the other"
    assert suspicion.judge(10, said(long, start=20)) is CUMULATIVE


# --- any text ---------------------------------------------------------------------------------------------------------

ANY = st.text(st.characters(codec=None), max_size=300) | st.sampled_from(
    [
        "\ud800" * 3,
        "\u202eabc\u2066",
        "👩‍👩‍👧‍👦" * 50,
        "\u0300" * 400,
        "♪" * 500,
        "[" * 300,
        "(a)" * 200,
        "",
        " \n",
        "İ" * 90,
        "a" * 100_000,
    ]
)


@given(
    st.lists(st.tuples(ANY, st.integers(0, 1 << 22), st.none() | st.integers(0, 1 << 22)), max_size=12), st.booleans()
)
def test_any_text_is_judged_and_always_the_same(told: list[tuple[str, int, int | None]], diarized: bool) -> None:
    def all_of() -> list[SuspectReason | None]:
        suspicion = Suspicion(("en", "ja"), diarized)
        return [
            suspicion.judge(
                n % 5, Said(text, n * 9, length, None if spoken is None else of_speech(spoken), n % 3 == 0 or None)
            )
            for n, (text, length, spoken) in enumerate(told)
        ]

    assert all_of() == all_of()


@given(ANY)
def test_what_has_no_letters_is_never_marked(text: str) -> None:
    wordless = "".join(char for char in text if not char.isalnum() and char.isascii())
    assert judged(wordless, 1.0, 0.0) is None


@pytest.mark.parametrize("claimed", [True, False, None])
@pytest.mark.parametrize("languages", [(), ("en",), ("de", "fr")])
def test_of_real_turns_hardly_any_is_marked(claimed: bool | None, languages: tuple[str, ...]) -> None:
    judged = marked = 0
    for turns in [*map(segments, meetings()), *utterances()]:
        suspicion = Suspicion(languages)
        for number, one in enumerate(turns):
            # A turn that nobody claims is there because all of it was heard.
            evidence = one.evidence if claimed or one.evidence is None else of_speech(2 * one.evidence.spoken)
            told = Said(one.text, one.start, one.length, evidence, claimed, one.holder)
            marked += suspicion.judge(number, told) is not None
            judged += 1
    assert judged > 3_000
    assert marked <= judged / 1_000
