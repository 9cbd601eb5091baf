"""Who may see what is only for developers: the debugger, and the page ``/_connections``.

Both ask here before they show anything, and the debugger again before it evaluates anything.
"""

from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

from simpycity_template.pylons_py3.dns_rebinding import cannot_be_rebound, is_loopback

Network = IPv4Network | IPv6Network

LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))

# With one of these, REMOTE_ADDR is a proxy's, and says nothing of who asks. Each proxy has a name of its
# own for the visitor's address: X-Real-IP, True-Client-IP, X-Azure-ClientIP, X-Envoy-External-Address.
# Servers may remove X-Forwarded-For where they trust no proxy, as waitress does; others are left then.
_NAMES_VISITOR = ("IP", "_ADDR", "_ADDRESS", "_VIA")

TRUTH = {"true": True, "yes": True, "on": True, "1": True}
TRUTH |= {"false": False, "no": False, "off": False, "0": False}


def networks(key: str, value: object) -> tuple[Network, ...]:
    """Read a setting that says who may see something: nobody, this machine, or networks.

    Arguments:
        key: the setting's name, for the error.
        value: true, false, or addresses and networks, separated by spaces or commas.

    Raises:
        ValueError: it is something else.
    """
    words = str(value).replace(",", " ").split()
    if len(words) == 1 and words[0].lower() in TRUTH:
        return LOOPBACK if TRUTH[words[0].lower()] else ()
    try:
        return tuple(ip_network(word) for word in words)
    except ValueError as error:
        raise ValueError(
            f"{key} is {value!r} ({error}): it must be true, for this machine alone, or false, "
            "or the addresses and networks that may see the page, such as 10.1.0.0/16"
        ) from None


def _is_of_proxy(key: str) -> bool:
    """Whether a key of the environ is a header that a proxy adds."""
    return key.startswith("HTTP_") and ("FORWARDED" in key or key.endswith(_NAMES_VISITOR))


def why_not(
    environ: Mapping[str, Any],
    networks: tuple[Network, ...],
    setting: str,
    any_name: bool = False,
) -> str:
    """Return why a request is refused, as sentences for who asks; empty where it is allowed.

    Arguments:
        environ: the request, as WSGI has it.
        networks: who is allowed.
        setting: the name of the setting that says so.
        any_name: whether those of other machines may ask by any host name.
    """
    told = f"{setting} says to whom it is shown."
    if any(map(_is_of_proxy, environ)):
        return f"This page is not shown through a proxy, which hides who asks. {told}"
    try:
        address = ip_address(environ.get("REMOTE_ADDR", "").partition("%")[0])
    except ValueError:
        return f"This page is shown to known addresses only, and the server gave none. {told}"
    address = getattr(address, "ipv4_mapped", None) or address
    if not any(address in network for network in networks):
        return f"This page is not shown to {address}. {told}"
    # A name that leads a browser here may be anybody's: DNS rebinding.
    host = environ.get("HTTP_HOST", "localhost")
    if all(network.is_loopback for network in networks):
        if not is_loopback(host):
            return f"Ask for this page at http://localhost or http://127.0.0.1. {told}"
    elif not any_name and not cannot_be_rebound(host):
        return "Ask for this page at an IP address."
    return ""
