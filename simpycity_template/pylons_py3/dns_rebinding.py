"""Which Host headers a browser may ask with for what is only for the developer.

This is against DNS rebinding: once somebody else's page is open in the developer's browser, its
owner lets the page's own host name lead to this machine. The browser then takes what we answer for
that page's, and lets it read that. An address, or ``localhost``, cannot be such a name.
"""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address

_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([0-9a-z._-]+))(?::[0-9]*)?")


def is_loopback(host: str) -> bool:
    """Whether a Host header names this machine itself.

    Arguments:
        host: the header, with a port or without.
    """
    address = _address(host)
    return address.is_loopback if address else _is_localhost(host)


def cannot_be_rebound(host: str) -> bool:
    """Whether nobody else can have the name of a Host header lead here.

    Arguments:
        host: the header, with a port or without.
    """
    return _address(host) is not None or _is_localhost(host)


def _is_localhost(host: str) -> bool:
    return _name(host).split(".")[-1] == "localhost"


def _name(host: str) -> str:
    """The name or the address in a Host header; empty where it is no such header."""
    found = _HOST.fullmatch(host.lower())
    return (found[1] or found[2]) if found else ""


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(_name(host))
    except ValueError:
        return None
