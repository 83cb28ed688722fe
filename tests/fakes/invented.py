"""What transcribers write of sound in which nobody speaks, for stand-ins and tests. As reported in public.

Sources: openai/whisper discussions 679, 928, 1873, 2608; Vexa-ai/vexa issues 155 and 617; vivekuppal/transcribe issue
184; livekit/agents issue 3312.
"""

from collections.abc import Mapping, Sequence

CREDITS: Mapping[str, Sequence[str]] = {
    "en": ("Subtitles by the Amara.org community", "Transcription by CastingWords", "(upbeat music)", "[BLANK_AUDIO]"),
    "de": (
        "Untertitel der Amara.org-Community",
        "Untertitel im Auftrag des ZDF für funk, 2017",
        "Untertitelung des ZDF, 2020",
        "Untertitelung aufgrund der Amara.org-Community",
        "SWR 2021",
        "Copyright WDR 2020",
    ),
    "fr": (
        "Sous-titres réalisés para la communauté d'Amara.org",
        "Sous-titres réalisés par la communauté d'Amara.org",
        "Sous-titrage ST' 501",
        "Sous-titrage Société Radio-Canada",
        "❤️ par SousTitreur.com",
    ),
    "es": ("Subtítulos realizados por la comunidad de Amara.org",),
    "it": ("Sottotitoli creati dalla comunità Amara.org", "Sottotitoli e revisione a cura di QTSS"),
    "pt": ("Legendas pela comunidade Amara.org", "Transcrição e Legendas pela comunidade de Amara.org"),
    "nl": ("Ondertiteld door de Amara.org gemeenschap", "Ondertitels ingediend door de Amara.org gemeenschap"),
    "pl": ("Napisy stworzone przez społeczność Amara.org",),
    "tr": ("Altyazı M.K.",),
    "no": ("Tekstet av Nicolai Winther",),
    "ru": ("Продолжение следует...", "Субтитры сделал DimaTorzok", "Редактор субтитров А.Синецкая Корректор А.Егорова"),
    "zh": ("字幕由Amara.org社区提供", "请不吝点赞 订阅 转发 打赏支持明镜与点点栏目", "中文字幕志愿者 李宗盛"),
    "ja": ("[音楽]", "（拍手）"),
    "ko": ("한글자막 by 한효정", "MBC 뉴스 이덕영입니다."),
    "ar": ("ترجمة نانسي قنقر",),
}
CLOSINGS: Mapping[str, Sequence[str]] = {
    "en": (
        "Thank you for watching!",
        "Thanks for watching!",
        "Thank you so much for watching.",
        "Please subscribe to my channel.",
        "Don't forget to like and subscribe!",
        "I'll see you in the next video.",
        "Thanks for watching and I'll see you next time.",
    ),
    "de": ("Vielen Dank fürs Zuschauen!", "Bis zum nächsten Mal."),
    "fr": ("Merci d'avoir regardé cette vidéo !", "N'oubliez pas de vous abonner."),
    "es": ("¡Gracias por ver el video!", "¡Suscríbete al canal!"),
    "it": ("Grazie per la visione!",),
    "pt": ("Obrigado por assistir!",),
    "nl": ("Bedankt voor het kijken!",),
    "pl": ("Dziękuję za oglądanie.",),
    "tr": ("Abone olmayı unutmayın.", "İzlediğiniz için teşekkürler."),
    "no": ("Takk for at du så med.",),
    "ru": ("Спасибо за просмотр!", "Подписывайтесь на канал!"),
    "zh": ("谢谢观看", "謝謝觀看"),
    "ja": ("ご視聴ありがとうございました", "次の動画でお会いしましょう", "チャンネル登録をお願いいたします"),
    "ko": ("시청해 주셔서 감사합니다!", "구독과 좋아요 부탁드립니다."),
    "ar": ("شكرا على المشاهدة", "اشتركوا في القناة"),
    "vi": ("Cảm ơn các bạn đã theo dõi!",),
}
EVERYDAYS: Mapping[str, Sequence[str]] = {
    "en": ("Thank you.", "you", "Bye.", "Thank you very much."),
    "de": ("Vielen Dank.", "Tschüss."),
    "fr": ("Merci.",),
    "es": ("Gracias.",),
    "ru": ("Спасибо.",),
    "ja": ("ありがとうございました",),
    "ko": ("감사합니다.",),
    "zh": ("谢谢大家",),
}
LOOPS = (
    "Thank you. " * 12,
    "I'm going to go to the " * 9,
    "no " * 40,
    "ありがとう" * 20,
    "的" * 30,
    "ha" * 60,
    "A-A-A-A-A-A-A-A-A-A-A-A-A-A-A-A-A-A-A-A-A-A",
)
SENTENCES = ("I'm going to go ahead and get started.", "I'm not sure what I'm doing here, but I will try to do it.")
"""Nothing but the missing speech gives these away."""


def answer(number: int, languages: Sequence[str] = ("en",)) -> str:
    """Return what such a model says the n-th time; the same each time it is asked."""
    language = languages[number % len(languages)]
    told = [*CLOSINGS.get(language, ()), *EVERYDAYS.get(language, ()), *CREDITS.get(language, ())]
    return told[number // len(languages) % len(told)]
