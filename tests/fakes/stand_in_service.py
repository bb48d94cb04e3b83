"""Stands in for a service of the local stack: `python -m tests.fakes.stand_in_service METRICS_PORT [stubborn]`.

It answers `GET /readyz` with 200; when stubborn it ignores SIGTERM.
"""

import signal
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()


def main(port: int, *, stubborn: bool) -> None:
    """Serves until it is ended."""
    if stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ThreadingHTTPServer(("127.0.0.1", port), _Handler).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), stubborn="stubborn" in sys.argv)
