"""Codes of languages: ISO 639-1 where there is one, else ISO 639-2 or 639-3; `x-NAME` (BCP 47) is nobody's but ours.

The three letters of a language that has two are the same language: `est` is `et`, and `cmn` is `zh`.
"""

from __future__ import annotations

import difflib
import re

_PAIRS = """
aa:aar ab:abk ae:ave af:afr ak:aka am:amh an:arg ar:ara as:asm av:ava ay:aym az:aze ba:bak be:bel bg:bul
bh:bih bi:bis bm:bam bn:ben bo:bod br:bre bs:bos ca:cat ce:che ch:cha co:cos cr:cre cs:ces cu:chu cv:chv
cy:cym da:dan de:deu dv:div dz:dzo ee:ewe el:ell en:eng eo:epo es:spa et:est eu:eus fa:fas ff:ful fi:fin
fj:fij fo:fao fr:fra fy:fry ga:gle gd:gla gl:glg gn:grn gu:guj gv:glv ha:hau he:heb hi:hin ho:hmo hr:hrv
ht:hat hu:hun hy:hye hz:her ia:ina id:ind ie:ile ig:ibo ii:iii ik:ipk io:ido is:isl it:ita iu:iku ja:jpn
jv:jav ka:kat kg:kon ki:kik kj:kua kk:kaz kl:kal km:khm kn:kan ko:kor kr:kau ks:kas ku:kur kv:kom kw:cor
ky:kir la:lat lb:ltz lg:lug li:lim ln:lin lo:lao lt:lit lu:lub lv:lav mg:mlg mh:mah mi:mri mk:mkd ml:mal
mn:mon mr:mar ms:msa mt:mlt my:mya na:nau nb:nob nd:nde ne:nep ng:ndo nl:nld nn:nno no:nor nr:nbl nv:nav
ny:nya oc:oci oj:oji om:orm or:ori os:oss pa:pan pi:pli pl:pol ps:pus pt:por qu:que rm:roh rn:run ro:ron
ru:rus rw:kin sa:san sc:srd sd:snd se:sme sg:sag si:sin sk:slk sl:slv sm:smo sn:sna so:som sq:sqi sr:srp
ss:ssw st:sot su:sun sv:swe sw:swa ta:tam te:tel tg:tgk th:tha ti:tir tk:tuk tl:tgl tn:tsn to:ton tr:tur
ts:tso tt:tat tw:twi ty:tah ug:uig uk:ukr ur:urd uz:uzb ve:ven vi:vie vo:vol wa:wln wo:wol xh:xho yi:yid
yo:yor za:zha zh:zho zu:zul
"""
# Members of a macrolanguage that stand for it in the names of data sets.
_MEMBERS = """
als:sq arb:ar ayr:ay azj:az cmn:zh ekk:et fuc:ff gaz:om gug:gn khk:mn lvs:lv npi:ne ory:or pes:fa plt:mg quz:qu
swh:sw tzm:ber uzn:uz ydd:yi zsm:ms
"""
_THREE = """
ace ach ada ady afh ain akk ale alt ang anp arc arn arp arq arw arz ast awa bal ban bas bej bem bho bik
bin bla bnt bra bua bug byn cad car cbk ceb chb chg chk chm chn cho chp chr chy cnr cop cpe cpf cpp crh
crp csb dak dar del den dgr din doi dsb dtp dua dum dyu efi egy eka elx enm ewo fan fat fil fon frm fro
frr frs fur gaa gay gba gez gil gmh goh gon gor got grb grc gsw gwi hai haw hil hit hmn hsb hup iba ido
ilo inh jbo jpr jrb kaa kab kac kam kaw kbd kha kho kmb kok kos kpe krc krl kru kum kut lad lah lam lez
lfn lol loz lua lui lun luo lus mad mag mai mak man mas max mdf mdr men mga mhr mic min mnc mni moh mos
mus mwl mwr myv nap nds new nia niu nog non nov nqo nso nwc nym nyn nyo nzi orv osa ota pag pal pam pap
pau peo phn pms pon pro raj rap rar rom rup sad sah sai sam sas sat scn sco sel sga shn sid sma smj smn
sms snk sog srn srr suk sus sux swg syc syr tem ter tet tig tiv tkl tlh tli tmh tog tpi tsi tum tvl tyv
tzl udm uga umb vai vot wal war was wuu xal yao yap yue zap zbl zen zgh zun zza
"""
_TWO_OF_THREE = dict(pair.split(":")[::-1] for pair in _PAIRS.split())
_MEMBER_OF = dict(pair.split(":") for pair in _MEMBERS.split())
_KNOWN = frozenset({*_TWO_OF_THREE.values(), *_THREE.split(), *_MEMBER_OF.values()})
_OWN = re.compile(r"x-[a-z0-9][a-z0-9-]{0,20}")


def code_of(told: str) -> str | None:
    """The code that a data set's own means, in lower case: ISO 639-1 where there is one; None for an unknown one.

    What follows the code, such as a script or a country (`zh-Hans`, `por_BR`), is left out.
    """
    word = told.strip().lower()
    if _OWN.fullmatch(word):
        return word
    first = re.split(r"[-_]", word, maxsplit=1)[0]
    code = _TWO_OF_THREE.get(first) or _MEMBER_OF.get(first) or first
    return code if code in _KNOWN else None


def checked_code(told: str, where: str) -> str:
    """`code_of`; ValueError beginning with `where` for an unknown code."""
    code = code_of(told)
    if code is None:
        near = difflib.get_close_matches(told.lower(), sorted(_KNOWN), n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise ValueError(
            f"{where}: {told!r} is no language code{hint}; allowed: ISO 639 codes such as en, est or zh-Hans, and "
            "x-NAME for a language that has none"
        )
    return code
