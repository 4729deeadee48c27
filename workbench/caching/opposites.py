"""Words that may not stand for each other, however near their vectors lie: opposites, and members of one closed class.

"How do I gain weight" and "How do I lose weight" are nearly the same to an embedding model, as are "on Monday" and "on
Friday": words that occur in the same places get like vectors, whatever they mean. English.
"""

from __future__ import annotations

from workbench.ranking.words import stem

_OPPOSITES = """
gain lose; increase decrease reduce lower; raise lower; buy sell; borrow lend; win lose; start stop quit; begin end;
open close; lock unlock; install uninstall; enable disable; activate deactivate; connect disconnect; subscribe
unsubscribe; follow unfollow; block unblock; encrypt decrypt; encode decode; compile decompile; zip unzip; log_in
log_out; login logout; sign_in sign_out; turn_on turn_off; accept reject refuse; allow forbid prevent prohibit; attract
repel; attack defend; build destroy; create delete destroy; add remove delete; insert remove delete; import export;
upload download; upgrade downgrade; push pull; send receive; give take; hire fire; arrive depart leave; enter exit
leave; love hate; like dislike hate; remember forget; succeed fail; pass fail; save spend waste; strengthen weaken;
tighten loosen; widen narrow; freeze melt boil; charge discharge; load unload; wake sleep; live die; marry divorce;
before after; above below; over under; with without; inside outside; indoor outdoor; upstairs downstairs; north south
east west; left right; front back; top bottom; up down; first last; early late; earliest latest; next previous last;
past future; today tomorrow yesterday; always never sometimes; more less fewer; most least; max min; maximum minimum;
best worst; better worse; good bad; advantage disadvantage; pro con; benefit drawback risk; strength weakness; big
small; large small tiny; high low; higher lower; highest lowest; tall short; long short; longest shortest; fast slow;
faster slower; fastest slowest; quick slow; hot cold; warm cool; hard soft; hard easy; harder easier; hardest easiest;
difficult easy; cheap expensive; cheapest expensive; rich poor; strong weak; strongest weakest; light dark heavy; thin
thick fat; fat skinny; wide narrow; deep shallow; full empty; new old; newest oldest; young old; youngest oldest; old
modern; clean dirty; dry wet; alive dead; happy sad unhappy; safe dangerous; true false; right wrong; real fake; legal
illegal; public private; free paid; positive negative; active passive; direct indirect; internal external; major minor;
senior junior; single married; introvert extrovert; ascending descending; vertical horizontal; odd even; plus minus;
multiply divide; addition subtraction; supply demand; input output; import export; cause effect; question answer;
teacher student; doctor patient; buyer seller; employer employee; customer seller; victim criminal; hero villain;
friend enemy; heaven hell; war peace; day night; morning evening; summer winter; birth death; profit loss; asset
liability; income expense; debit credit; hardware software; client server; theory practice; biggest smallest; largest
smallest; undergraduate graduate postgraduate; bachelor master phd; male female; normal abnormal; common rare;
beginner expert; beginner advanced; temporary permanent; acid base; liquid solid gas; nominee president; ally enemy
"""

_CLASSES = """
monday tuesday wednesday thursday friday saturday sunday
january february march april june july august september october november december
spring summer autumn winter
red orange yellow green blue purple violet pink brown black white grey silver golden
mercury venus mars jupiter saturn uranus neptune pluto
boyfriend girlfriend husband wife mother father mom dad son daughter brother sister uncle aunt grandmother grandfather
boy girl man woman
he she
him her
men women
king queen
gram kilogram ounce pound
celsius fahrenheit kelvin
inch foot yard mile centimeter centimetre metre meter kilometer kilometre
second minute hour week month year decade century
breakfast lunch dinner
dollar euro rupee yen peso rouble yuan
thousand million billion trillion lakh crore
kindergarten school college university
dog cat horse cow rabbit hamster parrot
english french german spanish italian portuguese russian chinese japanese korean arabic hindi
christian muslim hindu jewish buddhist sikh
christianity islam hinduism judaism buddhism sikhism
physics chemistry biology mathematics economics
java python javascript ruby php perl kotlin swift rust
iphone android
mac windows linux
excel word powerpoint
"""

_PREFIXES = ("un", "in", "im", "il", "ir", "dis", "non", "anti", "mis", "under", "over", "de", "re", "pre", "post")
_LONG_ENOUGH = 4


def _groups() -> dict[str, set[int]]:
    """Word → the groups it belongs to."""
    found: dict[str, set[int]] = {}
    lines = [*_OPPOSITES.replace("\n", " ").split(";"), *_CLASSES.strip().splitlines()]
    for number, line in enumerate(lines):
        for word in line.split():
            found.setdefault(word.replace("_", " "), set()).add(number)
    return found


_GROUPS = _groups()
_STEMS = {stem(word): groups for word, groups in _GROUPS.items()}


def opposed(one: str, other: str) -> bool:
    """Whether two different folded words may not stand for each other.

    True for members of one group, and for a word and the same word behind a prefix: "install" and "reinstall".
    """
    if stem(one) == stem(other):
        return False
    if not _groups_of(one).isdisjoint(_groups_of(other)):
        return True
    short, long = sorted((one, other), key=len)
    return len(short) >= _LONG_ENOUGH and long.endswith(short) and long[: -len(short)] in _PREFIXES


def _groups_of(word: str) -> set[int]:
    """Groups of a word, else of its base form: in the plural, in the past."""
    return _GROUPS.get(word) or _STEMS.get(stem(word)) or set()
