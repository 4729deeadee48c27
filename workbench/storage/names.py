"""File names for arbitrary text.

A name given by a person is data: it may hold ``../``, NUL, ``CON``, 300 characters, or two spellings that look alike.
What becomes a file name is a readable stem and a hash of the name's exact bytes.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

_STEM_LENGTH = 40


def safe_name(name: str) -> str:
    """A file name for ``name``: lower-case ASCII, at most 53 characters, different for different names.

    >>> safe_name("Ann's chat")
    'ann-s-chat-5ff5cd03c21c'
    """
    ascii_text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    stem = re.sub(r"[^a-z0-9]+", "-", ascii_text.lower())[:_STEM_LENGTH].strip("-") or "unnamed"
    # surrogatepass: a name with a lone surrogate is still a name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{stem}-{digest}"
