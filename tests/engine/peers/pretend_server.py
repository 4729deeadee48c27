"""Stands in for llama-server where a test needs it to misbehave, or is not to depend on a real one.

Answers as the real one does (`tools/server/README.md`), one token a character. The prompt's first token says what is
to go wrong.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HALF_CLOSED, NO_LAST_EVENT, KILLED, HALF_EVENT, REFUSED, SLOW = 10, 11, 12, 13, 14, 15
TEXT = "abcdefgh"
N_CTX = 64
LAST = {
    "content": "",
    "tokens": [],
    "stop": True,
    "stop_type": "limit",
    "tokens_predicted": len(TEXT),
    "timings": {"cache_n": 2, "prompt_ms": 0.01, "predicted_ms": 0.05},
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._json(
            {
                "status": "ok",
                "default_generation_settings": {"n_ctx": N_CTX},
                "bos_token": "<s>",
                "eos_token": "</s>",
                "argv": sys.argv[1:],
                "environment": sorted(os.environ),
            }
        )

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize":
            self._json({"tokens": [ord(letter) for letter in body["content"]]})
        elif self.path == "/detokenize":
            self._json({"content": "".join(map(chr, body["tokens"]))})
        elif body["prompt"][0] == REFUSED:
            self._json({"error": {"code": 400, "message": "not like this"}}, 400)
        elif body["stream"]:
            self._stream(body["prompt"][0])
        else:
            self._json({**LAST, "content": TEXT, "tokens": [ord(letter) for letter in TEXT]})

    def _stream(self, fault: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, letter in enumerate(TEXT):
            if number == 4 and fault == KILLED:
                os.kill(os.getpid(), signal.SIGKILL)
            if number == 4 and fault == HALF_EVENT:
                self._chunk(b'data: {"content": "e", "tok')
            if number == 4 and fault in (HALF_CLOSED, HALF_EVENT):
                self._hang_up()
                return
            time.sleep(0.05 if fault == SLOW else 0)
            self._event({"content": letter, "tokens": [ord(letter)], "stop": False})
        if fault != NO_LAST_EVENT:
            self._event(LAST)
        self.wfile.write(b"0\r\n\r\n")

    def _hang_up(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(2)

    def _event(self, value: dict[str, Any]) -> None:
        self._chunk(f"data: {json.dumps(value)}\n\n".encode())

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _json(self, value: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args: Any) -> None:
        pass


if __name__ == "__main__":
    if "--type-fails" in os.environ.get("PRETEND", ""):
        sys.exit("no such model, I pretend")
    port = int(sys.argv[sys.argv.index("--port") + 1])
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
