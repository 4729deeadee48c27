"""Server-sent events, read as the bytes come (WHATWG HTML, section 9.2.6). Knows nothing of what the events say."""

from __future__ import annotations

_BOM = b"\xef\xbb\xbf"
MAX_EVENT_BYTES = 16 * 2**20
"""An event larger than this is no answer of a model."""


class EventTooLarge(ValueError):
    """A single event does not end."""


class EventReader:
    """Bytes, cut anywhere, in; the data of whole events out. Lines may end in LF, CRLF or CR.

    An event is a text only once it is whole, so that a character cut in two needs no care. A line ``error: …``, which
    llama-server has sent, counts as data.
    """

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._held = 0
        self._data: list[bytes] = []
        self._data_bytes = 0
        self._after_cr = False
        self._begun = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of every event that is whole now.

        Raises:
            EventTooLarge: the one in progress takes more than :data:`MAX_EVENT_BYTES`.
        """
        if not chunk:
            return []
        if self._after_cr and chunk[:1] == b"\n":
            chunk = chunk[1:]  # the other half of a CRLF: its CR has ended the line already
        self._after_cr = chunk[-1:] == b"\r" if chunk else False
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        self._held += len(chunk)
        self._pieces.append(chunk)
        if b"\n" not in chunk:
            self._check_size()
            return []
        lines = b"".join(self._pieces).split(b"\n")
        rest = lines.pop()
        self._pieces, self._held = [rest], len(rest)
        found = self._take(lines)
        self._check_size()
        return found

    def finish(self) -> list[bytes]:
        """What is left when the bytes have ended: servers forget the empty line after the last event."""
        return self.feed(b"\n\n") if any(self._pieces) or self._data else []

    def _take(self, lines: list[bytes]) -> list[bytes]:
        if not self._begun and lines:
            self._begun = True
            lines[0] = lines[0].removeprefix(_BOM)
        found = []
        for line in lines:
            if not line:
                if self._data:
                    found.append(b"\n".join(self._data))
                    self._data, self._data_bytes = [], 0
            elif line.startswith((b"data:", b"error:")):
                self._data.append(line[line.index(b":") + 1 :].removeprefix(b" "))
                self._data_bytes += len(line)
        return found

    def _check_size(self) -> None:
        if self._held + self._data_bytes > MAX_EVENT_BYTES:
            raise EventTooLarge(f"an event has more than {MAX_EVENT_BYTES:,} bytes")
