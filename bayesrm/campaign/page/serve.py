"""Serving the page until somebody stops it: on the loopback interface, unless its owner says otherwise."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import uvicorn
from starlette.types import ASGIApp

from bayesrm.campaign.page.guard import LOOPBACK
from bayesrm.errors import InvalidInputError


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def own_names(host: str) -> frozenset[str]:
    """The names under which a page on this address is asked for."""
    if is_loopback(host):
        return LOOPBACK | {host}
    return LOOPBACK | {host, socket.gethostname().lower(), socket.getfqdn().lower()}


def listen(host: str, port: int, preferred: int = 0) -> socket.socket:
    """A socket that listens; with port 0 on the preferred one where that is free, else on any.

    Raises
    ------
    InvalidInputError
        Where it cannot be had.
    """
    wanted = [port] if port else [preferred, 0] if preferred else [0]
    for number in wanted:
        try:
            family, _, _, _, address = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
            listening = socket.socket(family)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listening.bind(address)
                listening.listen(128)
            except OSError:
                listening.close()
                raise
            return listening
        except OSError as error:
            reason = error
    raise InvalidInputError(
        f"the page cannot be served on {host}, port {wanted[-1]} ({reason.strerror or reason}): choose another --port "
        "or --host"
    ) from reason


def address_of(listening: socket.socket, host: str) -> str:
    """Where the page is found, without a path."""
    port = listening.getsockname()[1]
    name = "127.0.0.1" if host in ("0.0.0.0", "localhost", "::") else host
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Serve until Ctrl-C or SIGTERM; what is being answered then is answered."""
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        lifespan="off",
        ws="none",
        timeout_graceful_shutdown=2,
    )
    try:
        uvicorn.Server(config).run(sockets=[listening])
    except KeyboardInterrupt:
        pass  # uvicorn has ended by then, and says once more why
    finally:
        listening.close()
