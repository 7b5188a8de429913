"""Serves the page until Ctrl-C: one port, one address, nothing from other machines."""

import errno
import socket

from spanbert_keras.demo_page.page import import_gradio, page_settings
from spanbert_keras.errors import InputError

# The browser fetches from this server alone, whatever a version of Gradio asks for.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; media-src 'self' data: blob:; base-uri 'self'; "
    "form-action 'self'; object-src 'none'"
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
    gradio = import_gradio()
    import fastapi
    import uvicorn

    outer = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    outer.add_middleware(PolicyHeader)
    host, port = listening.getsockname()[:2]
    app = gradio.mount_gradio_app(outer, blocks, path="", server_name=host, server_port=port, **page_settings())
    config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=GRACE_SECONDS)
    uvicorn.Server(config).run(sockets=[listening])


class PolicyHeader:
    """An ASGI application that adds `POLICY` to the answers of another one.

    Args:
        app: ASGI application.
    """

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        """Answers one request."""

        async def send_with_policy(message):
            if message["type"] == "http.response.start":
                message = message | {"headers": [*message["headers"], (b"content-security-policy", POLICY.encode())]}
            await send(message)

        await self.app(scope, receive, send_with_policy)
