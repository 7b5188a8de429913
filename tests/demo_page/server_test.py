"""The server's socket, its mistakes in one sentence each, and what keeps browsers and other sites away."""

import asyncio
import socket

import pytest

from spanbert_keras.demo_page.page import make_blocks
from spanbert_keras.demo_page.server import POLICY, PageGuard, address_of, listen, page_app
from spanbert_keras.demo_page.tab import Field, Tab
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


@pytest.mark.parametrize("host", ["192.0.2.1", "a" * 70 + ".b", "ü..x"])
def test_a_host_that_is_not_here_is_one_sentence(host):
    with pytest.raises(InputError, match="is not an address of this machine"):
        listen(host, 0)


def test_a_name_that_is_not_found_is_one_sentence(monkeypatch):
    def not_found(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", not_found)
    with pytest.raises(InputError, match="^--host=elsewhere.example is not an address of this machine"):
        listen("elsewhere.example", 0)


def test_a_page_for_everyone_has_an_address_for_this_machine():
    with listen("0.0.0.0", 0) as listening:
        assert address_of(listening) == f"http://127.0.0.1:{listening.getsockname()[1]}/"


def answers_of(guard, **scope):
    """Returns what a guard sends for a request."""
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(guard({"type": "http", "method": "GET", "path": "/", "headers": []} | scope, None, send))
    return sent


async def inner(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
    await send({"type": "http.response.body", "body": b"x"})


def test_answers_carry_the_policy_and_other_messages_pass():
    start, body = answers_of(PageGuard(inner))
    assert start["headers"] == [(b"a", b"b"), (b"content-security-policy", POLICY.encode())]
    assert body == {"type": "http.response.body", "body": b"x"}
    assert "http" not in POLICY and "*" not in POLICY and "frame-ancestors 'none'" in POLICY


HOSTS = {"localhost", "127.0.0.1", "[::1]"}


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "127.0.0.1", "LocalHost:1", "[::1]:7860", "[::1]"])
def test_requests_for_this_machine_pass(host):
    assert answers_of(PageGuard(inner, HOSTS), headers=[(b"host", host.encode())])[0]["status"] == 200


@pytest.mark.parametrize(
    "host", ["a.example", "a.example:7860", "127.0.0.1.a.example", "localhost:a.example", "[::2]:1", "::1", "", None]
)
def test_requests_for_another_host_are_rejected(host):
    headers = [] if host is None else [(b"host", host.encode())]
    start, body = answers_of(PageGuard(None, HOSTS), headers=headers)
    assert start["status"] == 400 and (b"content-security-policy", POLICY.encode()) in start["headers"]
    assert body["body"].startswith(b"This page is for its own machine")
    [closed] = answers_of(PageGuard(None, HOSTS), headers=headers, type="websocket")
    assert closed["type"] == "websocket.close"
    assert answers_of(PageGuard(inner), headers=headers)[0]["status"] == 200


def test_a_request_with_two_hosts_is_rejected():
    headers = [(b"host", b"localhost"), (b"host", b"a.example")]
    assert answers_of(PageGuard(None, HOSTS), headers=headers)[0]["status"] == 400


@pytest.fixture(scope="module")
def client_of():
    """Function from the address of a page to a client of it, without a server."""
    testclient = pytest.importorskip("starlette.testclient", reason="the extra `demo` is not installed")
    tab = Tab(title="T", about="Does.", button="Do", fields=[Field(kind="line", label="A", example="x")], show=str)

    def make(host):
        with listen(host, 0) as listening:
            app = page_app(make_blocks([("T", tab)]), listening)
            return testclient.TestClient(app, base_url=f"http://{host}:{listening.getsockname()[1]}")

    return make


def test_the_page_takes_no_files(client_of):
    client = client_of("127.0.0.1")
    assert client.get("/").status_code == 200
    assert client.get("/gradio_api/upload").status_code == 405  # a path of Gradio's, for other methods
    answer = client.post("/gradio_api/upload", files={"files": ("a.txt", b"a" * 100)})
    assert (answer.status_code, answer.text) == (404, "This page takes no files.")
    assert answer.headers["content-security-policy"] == POLICY


def test_only_a_page_for_everyone_is_served_under_other_names(client_of):
    for host, status in (("127.0.0.1", 400), ("0.0.0.0", 200)):
        assert client_of(host).get("/", headers={"host": "a.example"}).status_code == status
