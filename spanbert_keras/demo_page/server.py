"""Serves the page until Ctrl-C: one port, one address, nothing from other machines."""

import errno
import ipaddress
import socket
from collections.abc import Collection

from spanbert_keras.demo_page.page import import_gradio, page_settings
from spanbert_keras.errors import InputError

# The browser fetches from this server alone, whatever a version of Gradio asks for.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' data: blob:; base-uri 'self'; "
    "form-action 'self'; object-src 'none'; frame-ancestors 'none'"
)
GRACE_SECONDS = 1  # that open connections get when the server stops


def listen(host: str, port: int) -> socket.socket:
    """Returns a socket that listens on a host's port.

    Args:
        host: str. Name or address.
        port: int. `0` takes a free port.

    Raises:
        InputError: the port is in use or needs rights, or the host is not this machine's.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise InputError(f"--host={host} is not an address of this machine. Expected: e.g. 127.0.0.1.") from error
    listening = socket.socket(family, kind)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(address)
        listening.listen()
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRINUSE:
            raise InputError(
                f"--port={port} is in use on {host}. Give another one, or --port=0, which takes a free port."
            ) from error
        if error.errno == errno.EACCES:
            raise InputError(f"--port={port} needs rights that you do not have. Give one above 1023.") from error
        raise InputError(f"--host={host} is not an address of this machine. Expected: e.g. 127.0.0.1.") from error
    return listening


def address_of(listening: socket.socket) -> str:
    """Returns the address of the page, for a browser on this machine."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def serve(blocks, listening: socket.socket) -> None:
    """Serves a page on a listening socket until the process is interrupted (SIGINT, SIGTERM).

    Args:
        blocks: `gradio.Blocks`.
        listening: socket. It is closed at the end.
    """
    import uvicorn

    config = uvicorn.Config(page_app(blocks, listening), log_level="warning", timeout_graceful_shutdown=GRACE_SECONDS)
    uvicorn.Server(config).run(sockets=[listening])


def page_app(blocks, listening: socket.socket):
    """Returns the ASGI application that serves a page on a listening socket.

    On a loopback address it answers requests for names of this machine alone: another site whose name leads here
    (DNS rebinding) could otherwise read the page with a visitor's browser.

    Args:
        blocks: `gradio.Blocks`.
        listening: socket.
    """
    gradio = import_gradio()
    import fastapi

    host, port = listening.getsockname()[:2]
    is_loopback = ipaddress.ip_address(host).is_loopback
    hosts = {"localhost", "127.0.0.1", "[::1]", f"[{host}]" if ":" in host else host} if is_loopback else None
    outer = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    outer.add_middleware(PageGuard, hosts=hosts)
    return gradio.mount_gradio_app(outer, blocks, path="", server_name=host, server_port=port, **page_settings())


class PageGuard:
    """An ASGI application that passes requests on to another one, and adds `POLICY` to every answer.

    It rejects requests for foreign hosts (status 400), and uploads of files (404), which no tab takes.

    Args:
        app: ASGI application.
        hosts: collection of str, or `None`. Values of the header `Host` that are passed on, without port, IPv6
            addresses in brackets. `None`: all.
    """

    def __init__(self, app, hosts: Collection[str] | None = None):
        self.app = app
        self.hosts = hosts

    async def __call__(self, scope, receive, send):
        """Answers one request."""

        async def send_with_policy(message):
            if message["type"] == "http.response.start":
                message = message | {"headers": [*message["headers"], (b"content-security-policy", POLICY.encode())]}
            await send(message)

        reason = self._reason_to_reject(scope)
        if reason is None:
            await self.app(scope, receive, send_with_policy)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            status, text = reason
            headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
            await send_with_policy({"type": "http.response.start", "status": status, "headers": headers})
            await send_with_policy({"type": "http.response.body", "body": text.encode()})

    def _reason_to_reject(self, scope) -> tuple[int, str] | None:
        """Returns a status and a sentence, or `None` for a request that is passed on."""
        if scope["type"] not in ("http", "websocket"):
            return None
        if self.hosts is not None and _host_of(scope) not in self.hosts:
            return 400, "This page is for its own machine: open it at localhost or 127.0.0.1."
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD") and "/upload" in scope["path"]:
            return 404, "This page takes no files."
        return None


def _host_of(scope) -> str:
    """Returns the host that a request is for, without port and in lower case; `""` if it names none."""
    given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
    if len(given) != 1:
        return ""
    host, colon, port = given[0].lower().rpartition(":")
    return host if colon and port.isdecimal() else given[0].lower()
