"""What a browser accepts: languages and media types, asked of WebOb as it is today."""

from webob.acceptparse import create_accept_header


def languages(request):
    """Return what a browser accepts, best first, up to the application's own language."""
    found = []
    for item, _ in sorted(request.accept_language.parsed or (), key=lambda pair: -pair[1]):
        if _same_language(item, request.language):
            break
        found.append(item)
    return [*found, request.language]


def _same_language(accepted, offered):
    accepted, offered = accepted.lower(), offered.replace("_", "-").lower()
    return accepted in ("*", offered, offered.partition("-")[0]) or (
        accepted.partition("-")[0] == offered
    )


def first_match(accept, offers):
    """Return the first offer that is accepted, the last if it is None, else the first."""
    for offer in offers:
        if offer is None or accept.acceptable_offers([offer]):
            return offer
    return offers[0] if offers else None


class AcceptedTypes:
    """The media types that an Accept header allows."""

    def __init__(self, header):
        self._header = create_accept_header(header)

    def __contains__(self, media_type):
        return bool(self._header.acceptable_offers([media_type]))
