"""How long it takes to compare declarations with a database, and how many messages go there.

1,000 functions, of which each has two arguments and returns a row of a table; then the same where 500
of them load a model each. The application's modules are imported already. Run it where the
distribution is installed with its extra `embedded`:

    python benchmarks/functions.py
"""

import tempfile
from statistics import median
from time import perf_counter

import psycopg2
from report import conditions
from simpycity.core import FunctionSingle
from simpycity.model import SimpleModel

from simpycity_template import embedded, simpycity_patches
from simpycity_template.functions.check import check

simpycity_patches.install()

ROUNDS = 7
FUNCTIONS = 1000
MODELS = 500

SCHEMA = f"""
CREATE TABLE note (id int NOT NULL, title text);
DO $$ BEGIN
    FOR i IN 1..{FUNCTIONS} LOOP
        EXECUTE format(
            'CREATE FUNCTION f%s(a int, b text DEFAULT '''') RETURNS note '
            'LANGUAGE sql AS ''SELECT * FROM note''', i
        );
    END LOOP;
END $$
"""


def milliseconds(link, queries):
    """The median of the time that a comparison takes."""
    rounds = []
    for _ in range(ROUNDS):
        began = perf_counter()
        report = check(link, queries)
        rounds.append(perf_counter() - began)
        assert (report.findings, report.checked) == ([], len(queries))
    return median(rounds) * 1000


def main():
    """Print the table."""
    queries = [FunctionSingle(f"f{number}", ["a"]) for number in range(1, FUNCTIONS + 1)]
    with tempfile.TemporaryDirectory() as folder:
        link = psycopg2.connect(embedded.dsn(folder, "functions"))
        with link, link.cursor() as cursor:
            cursor.execute(SCHEMA)
        print(f"1 declaration:                      {milliseconds(link, queries[:1]):6.0f} ms")
        print(f"{FUNCTIONS:,} declarations:                 {milliseconds(link, queries):6.0f} ms")
        models = [
            type(f"Model{number}", (SimpleModel,), {"table": ["id"], "__load__": queries[number]})
            for number in range(MODELS)
        ]
        of_models = milliseconds(link, queries)
        print(f"{FUNCTIONS:,} declarations, {len(models)} of them of models: {of_models:6.0f} ms")
        link.close()
    print(f"({conditions()})")


if __name__ == "__main__":
    main()
