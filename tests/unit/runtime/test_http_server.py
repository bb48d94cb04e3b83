"""A listener is one from the moment that it tells its port."""

from __future__ import annotations

import socket

import pytest
from prometheus_client import CollectorRegistry

from services.runtime.health import Health, PrivateApp
from services.runtime.http_server import HttpServer


def test_whoever_is_told_the_port_can_connect_at_once() -> None:
    """Services log their ports before the event loop has turned."""
    server = HttpServer(PrivateApp(Health(checks={}), CollectorRegistry()), host="127.0.0.1", port=0)
    with socket.create_connection(("127.0.0.1", server.port), timeout=5):
        pass


def test_a_port_that_is_taken_says_so() -> None:
    """Also before the other's event loop has turned."""
    app = PrivateApp(Health(checks={}), CollectorRegistry())
    first = HttpServer(app, host="127.0.0.1", port=0)
    with pytest.raises(SystemExit, match="set another port"):
        HttpServer(app, host="127.0.0.1", port=first.port)
