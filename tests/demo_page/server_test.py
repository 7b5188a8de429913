"""The server's socket, its mistakes in one sentence each, and the header that keeps a browser here."""

import asyncio
import socket

import pytest

from spanbert_keras.demo_page.server import POLICY, PolicyHeader, address_of, listen
from spanbert_keras.errors import InputError


def test_port_0_is_a_free_port_of_this_machine():
    with listen("127.0.0.1", 0) as one, listen("localhost", 0) as other:
        ports = [listening.getsockname()[1] for listening in (one, other)]
        assert 0 not in ports and address_of(one) == f"http://127.0.0.1:{ports[0]}/"
        with socket.create_connection(("127.0.0.1", ports[0]), timeout=10):
            pass


def test_a_port_in_use_is_one_sentence():
    with listen("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(InputError, match=rf"^--port={port} is in use on 127.0.0.1. Give another one, or --port=0"):
            listen("127.0.0.1", port)


@pytest.mark.parametrize("host", ["no such host", "host.invalid", "192.0.2.1", "a" * 70 + ".b", "ü..x"])
def test_a_host_that_is_not_here_is_one_sentence(host):
    with pytest.raises(InputError, match="is not an address of this machine"):
        listen(host, 0)


def test_a_page_for_everyone_has_an_address_for_this_machine():
    with listen("0.0.0.0", 0) as listening:
        assert address_of(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}/"


def test_answers_carry_the_policy_and_other_messages_pass():
    sent = []

    async def inner(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
        await send({"type": "http.response.body", "body": b"x"})

    async def send(message):
        sent.append(message)

    asyncio.run(PolicyHeader(inner)({"type": "http"}, None, send))
    assert sent[0]["headers"] == [(b"a", b"b"), (b"content-security-policy", POLICY.encode())]
    assert sent[1] == {"type": "http.response.body", "body": b"x"}
    assert "http" not in POLICY and "*" not in POLICY
