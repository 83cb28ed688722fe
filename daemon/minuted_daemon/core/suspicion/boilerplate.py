"""Text that transcribers write for sound without speech: lines of the subtitles they were trained on. Facts only.

What follows from a match is suspicion.py's. Sources: openai/whisper discussions 679, 928, 1873, 2412 and 2608;
Vexa-ai/vexa issues 155 and 617; Barański et al., "Investigation of Whisper ASR Hallucinations Induced by Non-Speech
Audio", ICASSP 2025.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from enum import IntEnum
from functools import lru_cache


class Kind(IntEnum):
    """What a text that holds nothing but known lines is. Of lines of several kinds the highest counts."""

    EVERYDAY = 1  # people say it all the time: "thank you", "bye"
    CLOSING = 2  # people say it at the end of a talk, if ever: "thanks for watching"
    CREDIT = 3  # only ever written: who made the subtitles, a description of a sound


CREDITS: Mapping[str, str] = {
    "en": "Copyright Australian Broadcasting Corporation | www.mooji.org | Transcription by CastingWords"
    " | Transcribed by https://otter.ai | Subtitles by the Amara.org community | For more UN videos visit www.un.org"
    " | BF-WATCH TV 2021",
    "de": "Untertitel der Amara.org-Community | Untertitelung aufgrund der Amara.org-Community"
    " | Untertitel von Stephanie Geiges | Untertitelung des ZDF | Untertitel im Auftrag des ZDF",
    "fr": "Sous-titrage ST' 501 | Sous-titrage FR ? | Sous-titrage Société Radio-Canada | ❤️ par SousTitreur.com"
    " | Sous-titrage de la Société Radio-Canada | Sous-titrage",
    "es": "Subtítulos realizados por la comunidad de Amara.org | Subtítulos por la comunidad de Amara.org",
    "it": "Sottotitoli e revisione a cura di QTSS | Sottotitoli creati dalla comunità Amara.org",
    "pt": "Legendas pela comunidade Amara.org | Transcrição e Legendas pela comunidade Amara.org",
    "nl": "Ondertiteld door de Amara.org gemeenschap | TV GELDERLAND 2021 | TV GELDERLAND 2023",
    "pl": "Napisy stworzone przez społeczność Amara.org | www.multi-moto.eu",
    "tr": "Altyazı M.K. | Çeviri ve altyazı M.K.",
    "sv": "Svensktextning.nu | Textning Stina Hedin www.btistudios.com",
    "no": "Tekstet av Nicolai Winther | Teksting av Nicolai Winther",
    "da": "Danske tekster af Jesper Buhl Scandinavian Text Service 2018",
    "ru": "Продолжение следует | Субтитры сделал DimaTorzok | Субтитры создавал DimaTorzok"
    " | Субтитры подогнал Симон | Редактор субтитров А.Синецкая Корректор А.Егорова | DimaTorzok",
    "zh": "字幕由Amara.org社区提供 | 字幕由Amara.org社區提供 | 请不吝点赞 订阅 转发 打赏支持明镜与点点栏目"
    " | 請不吝點贊 訂閱 轉發 打賞支持明鏡與點點欄目 | 明镜需要您的支持 欢迎订阅明镜 | 明鏡需要您的支持 歡迎訂閱明鏡"
    " | 优优独播剧场 YoYo Television Series Exclusive | 優優獨播劇場 YoYo Television Series Exclusive"
    " | 中文字幕志愿者 | 字幕志愿者 | 字幕志願者 | 中文字幕",
    "ko": "한글자막 by 한효정 | 자막 제공 | 이 영상은 유료 광고를 포함하고 있습니다",
    "ar": "ترجمة نانسي قنقر | ترجمة نانسي قنقور",
    "hu": "Feliratok az Amara.org közösség által",
}
"""By language, lines parted by bars. Case, accents, punctuation, width and blanks do not matter."""

CLOSINGS: Mapping[str, str] = {
    "en": "thank you for watching | thanks for watching | thank you for your watching | thank you for viewing"
    " | thanks for tuning in"
    " | please subscribe | like and subscribe | please like and subscribe | subscribe | don't forget to subscribe"
    " | subscribe to my channel | please subscribe to my channel | share this video with your friends on social media"
    " | see you in the next video | see you next video | see you in the next one"
    " | I'll see you in the next video | I hope you enjoyed this video"
    " | hello everyone welcome to my channel | welcome to my channel",
    "de": "Vielen Dank fürs Zuschauen | Danke fürs Zuschauen | Danke für's Zusehen | Vielen Dank fürs Zusehen"
    " | Abonniert den Kanal"
    " | Bis zum nächsten Video",
    "fr": "Merci d'avoir regardé | Merci d'avoir regardé cette vidéo | Merci d'avoir regardé la vidéo"
    " | Abonnez-vous | N'oubliez pas de vous abonner | N'hésitez pas à vous abonner"
    " | À la prochaine vidéo | J'espère que vous avez apprécié la vidéo | Je vous remercie de vous abonner",
    "es": "Gracias por ver | Gracias por ver el video | Gracias por ver este video | ¡Suscríbete al canal!"
    " | Suscríbete | Suscríbete a mi canal | No olvides suscribirte | No olviden suscribirse",
    "it": "Grazie per la visione | Grazie per aver guardato | Grazie per aver guardato il video | Iscriviti al canale"
    " | Non dimenticare di iscriverti",
    "pt": "Obrigado por assistir | Obrigada por assistir | Obrigado por ver"
    " | Inscreva-se no canal | Se inscreva no canal | Até o próximo vídeo",
    "nl": "Bedankt voor het kijken | Dank je wel voor het kijken | Abonneer je op het kanaal",
    "pl": "Dziękuję za oglądanie | Dzięki za oglądanie | Zapraszam do subskrypcji",
    "tr": "İzlediğiniz için teşekkürler | İzlediğiniz için teşekkür ederim | Abone olmayı unutmayın | Abone ol"
    " | Kanalıma abone olmayı unutmayın | Bir sonraki videoda görüşmek üzere",
    "sv": "Tack för att du har tittat | Tack för att du tittade | Tack för att ni har tittat",
    "no": "Takk for at du så på | Takk for at du så med | Takk for at dere så på",
    "da": "Tak fordi du så med | Tak for at du så med",
    "fi": "Kiitos kun katsoit | Kiitos katsomisesta",
    "cs": "Děkuji za shlédnutí | Díky za sledování",
    "hu": "Köszönöm, hogy megnézted",
    "ro": "Mulțumesc pentru vizionare | Vă mulțumesc pentru vizionare | Să vă mulțumim pentru vizionare",
    "el": "Ευχαριστώ που παρακολουθήσατε | Σας ευχαριστώ που παρακολουθήσατε",
    "ru": "Спасибо за просмотр | Подписывайтесь на канал | Подписывайтесь на мой канал"
    " | Ставьте лайки и подписывайтесь на канал",
    "uk": "Дякую за перегляд | Підписуйтесь на канал",
    "ar": "شكرا على المشاهدة | شكرا للمشاهدة | اشتركوا في القناة | شكراً لكم على المشاهدة",
    "he": "תודה על הצפייה | תודה שצפיתם",
    "hi": "देखने के लिए धन्यवाद | चैनल को सब्सक्राइब करें",
    "th": "ขอบคุณที่รับชม | ขอบคุณสำหรับการรับชม",
    "vi": "Cảm ơn các bạn đã theo dõi | Cảm ơn các bạn đã xem video | Hẹn gặp lại các bạn trong những video tiếp theo"
    " | Hãy subscribe cho kênh Ghiền Mì Gõ để không bỏ lỡ những video hấp dẫn | Các bạn hãy đăng ký kênh",
    "id": "Terima kasih telah menonton | Terima kasih sudah menonton | Sampai jumpa di video selanjutnya",
    "ms": "Terima kasih kerana menonton",
    "zh": "谢谢观看 | 謝謝觀看 | 感谢观看 | 感謝觀看 | 谢谢收看 | 謝謝收看 | 感谢收看 | 谢谢大家观看"
    " | 请订阅 | 我们下期再见 | 下期再见 | 请不吝点赞订阅 | 謝謝大家收看 | 多谢收看",
    "ja": "ご視聴ありがとうございました | ご視聴ありがとうございます"
    " | 見てくれてありがとう | 最後までご視聴いただきありがとうございます"
    " | 最後までご視聴いただき本当にありがとうございます"
    " | チャンネル登録をお願いします | チャンネル登録お願いします | チャンネル登録よろしくお願いします"
    " | 次回もお楽しみに | チャンネル登録をよろしくお願いします | 高評価とチャンネル登録をお願いします"
    " | 次の動画でお会いしましょう"
    " | ご覧いただきありがとうございます | ご覧いただきありがとうございました",
    "ko": "시청해주셔서 감사합니다 | 끝까지 시청해주셔서 감사합니다 | 구독과 좋아요 부탁드립니다 | 다음 영상에서 만나요"
    " | 구독 좋아요 부탁드립니다 | 오늘 영상은 여기까지입니다 | 다음 시간에 만나요",
}

EVERYDAY: Mapping[str, str] = {
    "en": "you | thank you | thank you very much | thank you so much | thanks | bye | bye bye | thank you bye | the"
    " | thank you all | thank you guys | thanks a lot | goodbye | good night | I'm sorry"
    " | thank you for listening | thanks for listening | thank you for your attention"
    " | see you next time | I'll see you next time | the end | we'll be right back | to be continued",
    "de": "danke | vielen Dank | danke schön | Tschüss | auf Wiedersehen"
    " | Vielen Dank für Ihre Aufmerksamkeit | Vielen Dank fürs Zuhören | Bis zum nächsten Mal",
    "fr": "merci | merci beaucoup | merci à tous | au revoir | Merci de votre attention",
    "es": "gracias | muchas gracias | adiós | Hasta la próxima",
    "it": "grazie | grazie mille | ciao | arrivederci | Alla prossima",
    "pt": "obrigado | obrigada | muito obrigado | tchau | Até a próxima",
    "nl": "bedankt | dank je wel | dank u wel | doei | Tot de volgende keer",
    "pl": "dziękuję | dziękuję bardzo | dzięki | Dziękuję za uwagę",
    "tr": "teşekkürler | teşekkür ederim | hoşça kalın",
    "sv": "tack | tack så mycket | hej då",
    "no": "takk | tusen takk | ha det",
    "da": "tak | mange tak | farvel",
    "fi": "kiitos | moi moi",
    "ru": "спасибо | пока | до свидания | большое спасибо | Спасибо за внимание | До новых встреч",
    "uk": "дякую | до побачення | Дякую за увагу",
    "ar": "شكرا | شكراً جزيلاً",
    "he": "תודה | תודה רבה",
    "zh": "谢谢 | 謝謝 | 谢谢大家 | 謝謝大家 | 拜拜 | 再见",
    "ja": "ありがとうございました | ありがとうございます | ありがとう | おやすみなさい | お疲れ様でした"
    " | ご清聴ありがとうございました",
    "ko": "감사합니다 | 고맙습니다 | 안녕히 계세요",
    "vi": "cảm ơn | cảm ơn các bạn",
    "id": "terima kasih",
    "cs": "Děkuji za pozornost",
    "hu": "Köszönöm a figyelmet",
}

_SUBTITLES = (
    r"subtitl|caption|transcri|subtít|subtit|legenda|sous-?titr|untertitel|ondertite|sottotitol|napisy|altyaz|субтитр"
    r"|undertext|undertekst|tekstning|teksting|tekstit|titulk|felirat|υπότιτλ|ترجم|כתוביות|字幕|자막|phụ đề|sari kata"
)
_STATIONS = r"(?:zdf|ard|wdr|swr|ndr|mdr|hr|br|orf|srf|funk|rbb|phoenix)"
_YEAR = r"(?:19|20)\d\d"
_CREDIT_LINES = re.compile(
    rf".*(?:{_SUBTITLES}).{{0,60}}amara\W?org.{{0,20}}|.{{0,40}}amara\W?org.{{0,20}}(?:{_SUBTITLES}).{{0,20}}"
    rf"|untertitel(?:ung)?\b.{{0,20}}\b{_STATIONS}\b.{{0,30}}|(?:copyright\s+)?{_STATIONS},?\s+{_YEAR}"
    rf"|untertitel von \w+ \w+|(?:subtitles|captions|captioning|transcription|transcript) (?:provided )?by \S+(?: \S+)?"
    r"|sous-titrage\W+(?:st\W*501|fr|(?:de la )?société radio-canada).{0,10}|.{0,20}soustitreur\W?com"
    r"|(?:редактор|корректор) субтитров .{1,60}|субтитры (?:сделал|создавал|подогнал|делал|подготовил)\w* .{1,30}"
    r"|(?:中文)?字幕(?:志[愿願]者|由|制作|製作|提供|[组組]|校[对對]|by).{0,20}|(?:小编|小編)?字幕由.{1,20}"
    r"|(?:한글)?\s?자막\s?(?:by|제작|제공).{0,20}|(?:mbc|kbs|sbs|ytn)\s?뉴스\s\S{1,6}입니다"
    r"|(?:çeviri ve )?altyazı\W+m\W?k\W?|sottotitoli .{0,20}a cura di .{1,30}"
    r"|(?:tekstet|teksting|undertekster|undertexter|svensk text|textning) (?:av|af) \w+ \w+",
    re.IGNORECASE,
)
_CLOSING_LINES = re.compile(
    r"(?:and |so |okay )?(?:thank you|thanks)(?: (?:so much|very much|guys|everyone|all|again|once again))*"
    r" for (?:watching|viewing|tuning in)"
    r"(?:,? (?:this video|the video|my video|everyone|guys|again|(?:and |see you |please ).{0,40}))?"
    r"|(?:please |and |don't forget to |be sure to |make sure to )*"
    r"(?:like,? (?:comment,? )?(?:share,? )?(?:and )?subscribe"
    r"|subscribe (?:to|for) (?:my|our|the|this) .{0,12}channel|hit the (?:bell|like|subscribe)).{0,40}"
    r"|(?:and )?(?:i'll |i will |we'll )?see you (?:all |guys )?(?:in|on) (?:the|my|our) next (?:video|episode|one)"
    r"|.{0,12}チャンネル登録.{0,16}|.{0,12}ご視聴.{0,12}ありがとうござい.{0,4}|.{0,8}시청해\s?주셔서 감사.{0,6}"
    r"|.{0,10}(?:感谢|感謝|谢谢|謝謝)(?:您的|你的|大家的?)?(?:观看|觀看|收看).{0,6}",
    re.IGNORECASE,
)
_SOUND = re.compile(r"(?:(?:\[[^\[\]]*\]|\([^()]*\)|（[^（）]*）|【[^【】]*】|\*[^*]*\*|[♪♫][^♪♫]*)[\s.,!…-]*)+")
_PARTS = re.compile(r"[.!?…。！？｡\n♪♫]+(?=\s|$|[^\x00-\x7f])|[,，、;；]\s*|\s[-–—]\s")
_LONGEST, _LONGEST_LINE = 400, 120  # characters; a text is as long as its vendor likes


def kind_of(text: str, languages: Sequence[str] = ()) -> tuple[Kind, bool] | None:
    """Return what kind of known lines a text holds, if it holds nothing else, and whether they are of these languages.

    A line whose language is not among `languages` (BCP 47; none: any) is as well known, but nobody there would say it;
    English is said everywhere.
    """
    text = text.strip()
    if not text or len(text) > _LONGEST:
        return None
    if _SOUND.fullmatch(text):
        return Kind.CREDIT, True
    whole = _line(text)
    known = [] if whole is None else [whole]
    for part in _PARTS.split(text) if whole is None else ():
        if any(map(str.isalnum, part)):
            line = _line(part)
            if line is None:
                return None
            known.append(line)
    if not known:
        return None
    bases = {language.split("-")[0].casefold() for language in languages}
    ours = not bases or all(not said or bool(said & {*bases, "en"}) for _, said in known)
    return max(kind for kind, _ in known), ours


def _line(text: str) -> tuple[Kind, frozenset[str]] | None:
    """Return the kind of one line and the languages it is said in; no languages: whose it is does not matter."""
    if len(text) > _LONGEST_LINE:
        return None
    found = _known().get(key(text))
    if found is not None:
        return found
    line = " ".join(unicodedata.normalize("NFKC", text).replace("’", "'").strip(" .!?…。,，\"'«»—–-").split())
    if _CREDIT_LINES.fullmatch(line):
        return Kind.CREDIT, frozenset()
    return (Kind.CLOSING, frozenset()) if _CLOSING_LINES.fullmatch(line) else None


def key(text: str) -> str:
    """Return what is left of a text without case, accents, punctuation, width and blanks."""
    plain = text if text.isascii() else unicodedata.normalize("NFKD", text)
    return "".join(filter(str.isalnum, plain.casefold()))


@lru_cache(maxsize=1)
def _known() -> Mapping[str, tuple[Kind, frozenset[str]]]:
    found: dict[str, tuple[Kind, frozenset[str]]] = {}
    for kind, table in ((Kind.EVERYDAY, EVERYDAY), (Kind.CLOSING, CLOSINGS), (Kind.CREDIT, CREDITS)):
        for language, lines in table.items():
            for line in lines.split(" | "):
                before = found.get(key(line), (kind, frozenset()))[1]
                found[key(line)] = kind, before | {language}
    return found
