"""What psycopg2 keeps of a session, so that each scope begins with what was prepared at connect."""

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from simpycity_template.driver.transactions import Transactions


class Session(NamedTuple):
    """The session of a connection at the time when it was opened and prepared."""

    isolation_level: int | None
    autocommit: bool
    readonly: bool | None
    deferrable: bool | None
    encoding: str
    cursor_factory: Any
    string_types: dict[int, Any]
    binary_types: dict[int, Any]

    @classmethod
    def of(cls, connection: "Transactions") -> "Session":
        """The session of ``connection`` as it is now."""
        return cls(
            connection.isolation_level,
            connection.autocommit,
            connection.readonly,
            connection.deferrable,
            connection.encoding,
            connection.cursor_factory,
            dict(connection.string_types),
            dict(connection.binary_types),
        )

    @property
    def is_plain(self) -> bool:
        """Whether its transactions begin with ``BEGIN`` and no more."""
        begin = self.isolation_level, self.autocommit, self.readonly, self.deferrable
        return begin == (None, False, None, None)

    def restore(self, connection: "Transactions") -> None:
        """Undo what a scope set on ``connection``; nothing is sent where it set nothing.

        Raises:
            psycopg2.Error: the connection broke.
        """
        if (connection.readonly, connection.deferrable) != (self.readonly, self.deferrable):
            connection.set_session(
                readonly="default" if self.readonly is None else self.readonly,
                deferrable="default" if self.deferrable is None else self.deferrable,
            )
        if connection.isolation_level != self.isolation_level:
            connection.set_isolation_level(self.isolation_level)
        if connection.autocommit != self.autocommit:
            connection.autocommit = self.autocommit
        if connection.encoding != self.encoding:
            connection.set_client_encoding(self.encoding)
        connection.cursor_factory = self.cursor_factory
        for types, prepared in (
            (connection.string_types, self.string_types),
            (connection.binary_types, self.binary_types),
        ):
            types.clear()
            types.update(prepared)

    def restore_encoding(self, connection: "Transactions") -> None:
        """Set the encoding after a DISCARD ALL has reset it, of which psycopg2 does not know."""
        server = connection.get_parameter_status("client_encoding")
        if _plain(server) != _plain(self.encoding):
            connection.run(f"SET client_encoding TO '{self.encoding}'")


def _plain(encoding: str | None) -> str:
    """The name of an encoding as PostgreSQL and psycopg2 both write it."""
    return "".join(filter(str.isalnum, encoding or "")).upper()
