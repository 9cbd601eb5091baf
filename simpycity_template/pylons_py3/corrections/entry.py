"""What an entry of the lists is."""

from typing import NamedTuple


class Correction(NamedTuple):
    """A piece of a module's installed text that is replaced before it is translated."""

    name: str
    module: str
    why: str
    old: str
    new: str
    times: int = 1
