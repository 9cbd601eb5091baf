"""An application under a monitoring agent: prints what the agent saw, and what held, as JSON.

The arguments are the agent's name, a DSN, and the folder of a generated project. No agent reaches a server of its own.
"""

import json
import os
import sys


def opentelemetry(**options):
    from opentelemetry import trace
    from opentelemetry.instrumentation.psycopg2 import Psycopg2Instrumentor
    from opentelemetry.sdk.trace import TracerProvider

    trace.set_tracer_provider(TracerProvider())
    Psycopg2Instrumentor().instrument(skip_dep_check=True, **options)
    return _spans()


def opentelemetry_by_itself():
    # As the command opentelemetry-instrument begins.
    from opentelemetry import trace
    from opentelemetry.instrumentation.auto_instrumentation import initialize
    from opentelemetry.sdk.trace import TracerProvider

    trace.set_tracer_provider(TracerProvider())
    initialize(swallow_exceptions=False)
    return _spans()


def opentelemetry_with_comments():
    return opentelemetry(enable_commenter=True)


def appsignal():
    from appsignal import Appsignal
    from appsignal.agent import Agent

    # Its agent is another process, which would go on after this one and send to a server.
    Agent.start, Agent.active = lambda agent, config: None, True
    Appsignal(active=True, name="tests", push_api_key="none", log_path=os.getcwd()).start()
    return _spans()


def _spans():
    from opentelemetry import trace
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
    return lambda: [
        span.attributes["db.statement"]
        for span in exporter.get_finished_spans()
        if "db.statement" in span.attributes
    ]


def elastic():
    import elasticapm
    from elasticapm import traces

    client = elasticapm.Client(
        service_name="tests", disable_send=True, central_config="false", cloud_provider="none"
    )
    seen, enter = [], traces.capture_span.__enter__

    def see(span):
        statement = (span.extra or {}).get("db", {}).get("statement")
        seen.extend([statement] if statement else [])
        return enter(span)

    traces.capture_span.__enter__ = see
    elasticapm.instrument()
    client.begin_transaction("tests")
    return lambda: seen


def newrelic():
    os.environ.update(
        NEW_RELIC_LICENSE_KEY="a" * 40, NEW_RELIC_DEVELOPER_MODE="true", NEW_RELIC_APP_NAME="tests"
    )
    import newrelic.agent

    newrelic.agent.initialize()
    application = newrelic.agent.register_application(timeout=10)
    from newrelic.api.database_trace import DatabaseTrace

    seen, enter = [], DatabaseTrace.__enter__

    def see(trace):
        seen.append(trace.sql)
        return enter(trace)

    DatabaseTrace.__enter__ = see
    newrelic.agent.BackgroundTask(application, "tests").__enter__()
    # It also shows what ends a transaction.
    return lambda: [sql for sql in seen if sql not in ("COMMIT", "ROLLBACK")]


def ddtrace():
    os.environ.update(
        DD_INSTRUMENTATION_TELEMETRY_ENABLED="false", DD_REMOTE_CONFIGURATION_ENABLED="false"
    )
    from ddtrace import patch, tracer
    from ddtrace.trace import TraceFilter

    seen = []

    class Keep(TraceFilter):
        def process_trace(self, trace):
            seen.extend(span.resource for span in trace if span.span_type == "sql")

    tracer.configure(trace_processors=[Keep()])
    patch(psycopg=True)
    # It also shows what ends a transaction.
    return lambda: [sql for sql in seen if not sql.startswith("psycopg2.")]


def aikido():
    from aikido_zen import protect, vulnerabilities

    seen, scan = [], vulnerabilities.run_vulnerability_scan

    def see(kind, op, args):
        seen.extend([args[0]] if op.startswith("psycopg2") else [])
        return scan(kind, op, args)

    vulnerabilities.run_vulnerability_scan = see
    protect()
    return lambda: seen


def sentry():
    import sentry_sdk

    sentry_sdk.init(
        dsn="http://key@localhost/1", transport=lambda envelope: None, traces_sample_rate=1.0
    )


def scout():
    from scout_apm.api import Config
    from scout_apm.instruments import ensure_all_installed

    Config.set(monitor=True, name="tests", core_agent_launch=False, core_agent_download=False)
    ensure_all_installed()


def page(project):
    """The status and the text of a page of a generated application."""
    from paste.deploy import loadapp
    from webtest import TestApp

    sys.path.insert(0, project)
    answer = TestApp(loadapp(f"config:{project}/development.ini")).get("/notes")
    return answer.status_int, "Under an agent" in answer.text


def main():
    agent, dsn, project = sys.argv[1:]
    seen = globals()[agent]()

    from simpycity.core import Function, Raw

    from simpycity_template import PoolTimeout, get_manager

    manager = get_manager("agents")
    settings = {"dsn": dsn, "pool_size": 1, "max_overflow": 0}
    settings |= {"tag_statements": "true", "pool_timeout": 0.1}
    manager.configure({f"simpycity.{name}": value for name, value in settings.items()})
    get_row = Function("get_row", ["i"])
    held = {}
    with manager.scope("first"):
        held["row"] = get_row(1).fetchone()["n"]
        Raw("INSERT INTO kept VALUES (1)")()
        (entry,) = manager.status()
        held["transaction"] = entry.transaction
    with manager.scope("second"):
        # The connection is the same, and what was not committed is gone.
        held["uncommitted"] = Raw("SELECT count(*) FROM kept")().fetchone()[0]
        cursor = manager.handle().conn.cursor()
        cursor.execute("SELECT * FROM get_row(%s)", (2,))
        held["of conn"] = cursor.fetchall()
        Raw("INSERT INTO kept VALUES (2)")()
        manager.commit()
        try:
            manager.open()
            held["limit"] = "none"
        except PoolTimeout:
            held["limit"] = "held"
    with manager.scope("third"):
        held["committed"] = Raw("SELECT count(*) FROM kept")().fetchone()[0]
        held["transaction by itself"] = manager.status()[0].transaction
    held["in use"] = [entry.state for entry in manager.status()]
    manager.dispose()
    by_script = list(seen()) if seen else None
    status, has_note = page(project)
    by_page = [sql for sql in seen() if "notes_latest" in sql] if seen else None
    in_use = [entry.state for entry in get_manager("helloworld").status()]
    print(
        json.dumps(
            {
                "held": held,
                "seen": by_script,
                "page": [status, has_note, in_use],
                "seen of the page": by_page,
            }
        )
    )


if __name__ == "__main__":
    main()
