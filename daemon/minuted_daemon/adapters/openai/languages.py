"""Language codes as OpenAI's models take them: ISO 639-1, and Chinese by region. Pure.

The configuration takes BCP 47 codes (`pt-BR`), which the vendor refuses. Sources: OpenAI's guide to realtime
transcription; ISO 639-1 and 639-2 as the Library of Congress lists them.
"""

_TWO_LETTERS = """
aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en eo es
et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is it iu ja jv ka kg ki kj
kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na nb nd ne ng nl nn no nr nv
ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti
tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu
"""
_THREE_LETTERS = """
afr:af alb:sq sqi:sq amh:am ara:ar arm:hy hye:hy aze:az baq:eu eus:eu bel:be ben:bn bos:bs bul:bg bur:my mya:my cat:ca
ces:cs cze:cs chi:zh zho:zh cmn:zh cym:cy wel:cy dan:da deu:de ger:de dut:nl nld:nl ell:el gre:el eng:en epo:eo est:et
fas:fa per:fa fil:tl fin:fi fra:fr fre:fr geo:ka kat:ka gle:ga glg:gl guj:gu hat:ht hau:ha heb:he hin:hi hrv:hr hun:hu
ice:is isl:is ibo:ig ind:id ita:it jav:jv jpn:ja kan:kn kaz:kk khm:km kir:ky kor:ko kur:ku lao:lo lat:la lav:lv lit:lt
ltz:lb mac:mk mkd:mk mal:ml mao:mi mri:mi mar:mr may:ms msa:ms mlg:mg mlt:mt mon:mn nep:ne nob:nb nno:nn nor:no ori:or
pan:pa pol:pl por:pt pus:ps ron:ro rum:ro rus:ru san:sa sin:si slk:sk slo:sk slv:sl sna:sn snd:sd som:so spa:es srp:sr
sun:su swa:sw swe:sv tam:ta tat:tt tel:te tgk:tg tgl:tl tha:th tib:bo bod:bo tuk:tk tur:tr uig:ug ukr:uk urd:ur uzb:uz
vie:vi xho:xh yid:yi yor:yo zul:zu
"""
_KNOWN = frozenset(_TWO_LETTERS.split())
_SHORTER = dict(pair.split(":") for pair in _THREE_LETTERS.split())
_OLDER = {"iw": "he", "in": "id", "ji": "yi", "jw": "jv", "mo": "ro", "sh": "sr"}
_CHINESE = {"cn": "zh-cn", "hans": "zh-cn", "sg": "zh-cn", "tw": "zh-tw", "hant": "zh-tw", "hk": "zh-hk", "mo": "zh-hk"}


def vendor_language(code: str, *, regions: bool) -> str | None:
    """Return a BCP 47 code as the vendor takes it, None where it is no language that it could know.

    `regions`: whether Chinese may be told apart by region, as only a list of languages takes it. A code of three
    letters without a shorter one is returned as it is: the vendor knows some of them.
    """
    first, *rest = code.replace("_", "-").lower().split("-")
    language = _OLDER.get(first, _SHORTER.get(first, first))
    if language == "zh" and regions:
        # A region tells more than a script: zh-Hant-HK is Hong Kong's.
        return next((_CHINESE[part] for part in reversed(rest) if part in _CHINESE), "zh")
    return language if language in _KNOWN or len(language) == 3 else None
