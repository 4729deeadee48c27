"""The string formats of JSON Schema 2020-12 (section 7.3) as patterns; each allows only what is surely valid."""

from __future__ import annotations

_DATE = (
    r"(?:[1-9][0-9]{3})-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"  # the 29th of February is valid in some years only
)
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]{1,6})?(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9])"
_HEX = "[0-9a-fA-F]"
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_LABEL = "[a-z](?:[a-z0-9-]{0,30}[a-z0-9])?"
_HOST = rf"{_LABEL}(?:\.{_LABEL}){{0,3}}\.[a-z]{{2,6}}"


def _uuid(version: str) -> str:
    return f"{_HEX}{{8}}-{_HEX}{{4}}-{version}{_HEX}{{3}}-[89abAB]{_HEX}{{3}}-{_HEX}{{12}}"


PATTERNS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "duration": "P(?:[1-9][0-9]{0,2}D|(?:[1-9][0-9]{0,2}D)?T[1-9][0-9]{0,2}[HMS])",
    "uuid": _uuid("[1-8]"),
    **{f"uuid{n}": _uuid(str(n)) for n in range(1, 9)},
    "email": rf"[a-z][a-z0-9]{{0,20}}(?:[._-][a-z0-9]{{1,20}}){{0,2}}@{_HOST}",
    "hostname": _HOST,
    "uri": rf"https?://{_HOST}(?:/[a-zA-Z0-9._~-]{{0,60}}){{0,6}}",
    "ipv4": rf"{_BYTE}\.{_BYTE}\.{_BYTE}\.{_BYTE}",
    "ipv6": f"{_HEX}{{1,4}}(?::{_HEX}{{1,4}}){{7}}",
}

PLAIN = {"password", "binary", "byte-string", "path", "file-path", "directory-path", "textarea"}
"""Formats that say what a string is for, not how it is written."""
PLAIN -= {"file-path", "directory-path"}  # pydantic checks that such a path exists
