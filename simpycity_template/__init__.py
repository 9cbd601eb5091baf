"""Connections that cannot leak, for Pylons applications whose model is PostgreSQL.

The public names are loaded at first use, because the start-up hook that makes Pylons importable on
Python 3 imports this package in every process, and must not load the database driver.

For each promise of docs/promises.rst: the function that keeps it, and below the functions a test
that fails when the promise is broken. A test in tests/test_docs.py checks that all of them exist.

 1  Every handle is known.
        scopes/checkouts.py: Checkouts.checkout()
        scopes/checkout.py: Checkout.acquire()
        tests/test_manager.py: test_a_handle_made_directly_is_freed_with_the_scope()
 2  One transaction per scope.
        scopes/checkouts.py: Checkouts.checkout()
        tests/test_manager.py: test_all_queries_of_a_scope_share_one_transaction()
 3  Nothing is committed that nobody committed.
        driver/transactions.py: Transactions.reset_state()
        tests/test_manager.py: test_it_rolls_back_and_never_commits()
 4  The garbage collector is not needed.
        driver/connection.py: Connection.drop_cycles()
        tests/pool/test_pool.py: test_a_closed_connection_is_freed_without_the_garbage_collector()
 5  cleanup() never raises of itself.
        scopes/scope.py: Scope.close()
        pool/pool.py: Pool.release()
        tests/test_manager.py: test_it_throws_a_broken_connection_away_in_silence()
 6  A transaction is whole or gone.
        driver/commit_outcome.py: raise_if_lost(), check_after_commit()
        driver/merged_begin.py: execute()
        tests/test_manager.py: test_the_second_half_never_runs_alone()
        tests/test_manager.py: test_a_commit_without_an_answer_says_that_the_outcome_is_unknown()
        tests/driver/test_merged_begin.py:
            test_only_a_statement_that_was_refused_for_its_text_is_sent_again()
        tests/test_proxy.py: test_a_cut_at_any_message_leaves_the_transaction_whole_or_gone()
 7  A stale idle connection is replaced.
        driver/check_socket.py: is_alive()
        pool/pool.py: Pool._reset()
        tests/test_manager.py: test_a_stale_idle_connection_is_replaced_before_its_use()
        tests/pool/test_pool.py: test_a_server_that_became_read_only_is_not_handed_out_again()
 8  A thread that dies gives its connection back.
        scopes/stack.py: Stack.__del__()
        tests/test_manager.py: test_a_thread_that_dies_gives_its_connection_back_at_once()
 9  fork() is safe.
        driver/all_connections.py: _leave_to_parent()
        manager.py: Manager._forked()
        tests/process/test_fork.py: test_a_raw_connection_of_the_parent_is_cut_off_in_the_child()
        tests/process/test_fork.py: test_the_parents_transaction_goes_on()
10  A module that is imported again leaks nothing.
        manager.py: get_manager()
        tests/test_manager.py: test_the_same_name_is_the_same_manager()
11  A stream keeps its connection until it is closed.
        middleware.py: respond_in_scope()
        scopes/request.py: StreamedBody.close(), StreamedBody.abort()
        tests/test_middleware.py: test_a_stream_keeps_its_connection_until_it_is_exhausted()
        tests/test_middleware.py: test_a_client_that_goes_away_frees_the_connection()
        tests/test_middleware.py: test_a_body_that_was_cut_never_passes_for_a_whole_one()
12  The error says who has the connections, and waiting is first come, first served.
        pool/report.py: timeout_error()
        pool/tables.py: Tables._assign()
        tests/pool/test_pool.py: test_exhaustion_names_every_holder()
        tests/pool/test_pool.py: test_first_come_first_served()
13  A scope is its unit's alone.
        scopes/checkouts.py: Checkouts.checkout()
        simpycity_patches/cursor.py: ScopedCursor.execute()
        driver/transactions.py: Transactions.reset_state()
        tests/scopes/test_stack.py: test_gives_an_error_to_each_later_statement()
        tests/scopes/test_stack.py: test_gives_an_error_to_a_cursor_that_was_opened_before()
        tests/scopes/test_ends_meanwhile.py: test_a_cursor_that_is_opened_late_sends_nothing()
14  What is prepared at connect lasts as long as the connection.
        driver/session.py: Session.restore()
        tests/driver/test_session.py: test_the_encoding_lasts()
15  A limit is a limit.
        pool/tables.py: Tables._give()
        tests/scopes/test_stack.py: test_handles_of_other_databases_share_the_limit()
16  A connection older than pool_recycle is not handed out.
        pool/tables.py: Tables._give()
        tests/pool/test_pool.py: test_a_connection_that_grew_old_while_idle_is_not_handed_out()
17  The declared functions are those of the database.
        functions/startup.py: check_functions()
        tests/functions/test_startup.py:
            test_each_mismatch_is_a_warning_when_the_application_starts()
18  The schema is one of two states.
        schema/apply.py: Run.apply()
        tests/schema/test_migrations.py: test_a_mistake_takes_back_all_files_of_the_run()
"""

# Type checkers know the name; typing itself would cost each start of Python milliseconds.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from simpycity_template.errors import PoolTimeout, TransactionLost
    from simpycity_template.manager import Manager, get_manager

__all__ = ["Manager", "PoolTimeout", "TransactionLost", "get_manager"]

_HOME = {
    "Manager": "simpycity_template.manager",
    "get_manager": "simpycity_template.manager",
    "PoolTimeout": "simpycity_template.errors",
    "TransactionLost": "simpycity_template.errors",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
