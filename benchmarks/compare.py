"""Compares the contestants: one run, one table, one plot."""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median, quantiles
from time import monotonic, sleep

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests"))

from contestants import BASE, CONTESTANTS, OURS  # noqa: E402
from report import DOCS, publish  # noqa: E402
from wire import wire  # noqa: E402

from simpycity_template import embedded  # noqa: E402

DELAY = 0.0005
FUNCTION = """
CREATE OR REPLACE FUNCTION get_row(id int) RETURNS TABLE (id int, body text)
LANGUAGE sql STABLE AS $$ SELECT get_row.id, 'a note' $$
"""


class Contestant:
    """A contestant in a process of its own."""

    def __init__(self, name):
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, HERE / "contestants.py", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def order(self, *order):
        """Give an order; returns the first line of the answer."""
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.name} failed: see above")
        return answer

    def rate(self, dsn, threads, seconds):
        """Requests per second."""
        return float(self.order(dsn, threads, "rate", seconds))

    def round_trips(self, dsn, times=20):
        """How often one request waits for the server, once all is connected."""
        with wire(dsn) as line:
            self.order(line.dsn, 1, "repeat", times)
            line.clear()
            self.order("go on")
            return line.round_trips / times

    def end(self):
        """End the process."""
        self._process.stdin.close()
        self._process.wait(30)


def wait_until_alone(witness):
    """Until the server has ended the connections of the contestant before."""
    deadline = monotonic() + 60
    with witness.cursor() as cursor:
        while True:
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
            )
            if cursor.fetchone() == (1,):
                return
            if monotonic() > deadline:
                raise SystemExit("somebody keeps its connections")
            sleep(0.01)


def compare(contestants, witness, dsn, threads, rounds, seconds):
    """Requests per second, a list of one number a round for each contestant."""
    rates = {contestant.name: [] for contestant in contestants}
    for number in range(rounds):
        # Not always in the same order, so that nobody always runs after the same one.
        first = number % len(contestants)
        for contestant in contestants[first:] + contestants[:first]:
            wait_until_alone(witness)
            rates[contestant.name].append(contestant.rate(dsn, threads, seconds))
        print(".", end="", flush=True, file=sys.stderr)
    return rates


def delayed(dsn):
    """A process that adds the delay, and the DSN that goes through it."""
    parts = parse_dsn(dsn)
    process = subprocess.Popen(
        [
            sys.executable,
            HERE.parent / "tests" / "wire.py",
            str(DELAY),
            parts["host"],
            parts.get("port", "5432"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    port = process.stdout.readline().strip()
    through = make_dsn(dsn, host="127.0.0.1", port=port, sslmode="disable", gssencmode="disable")
    return process, through


def ratios(rates, name, base=BASE):
    """The median of the ratio to ``base`` round by round, and its quartiles."""
    shares = [own / other for own, other in zip(rates[name], rates[base], strict=True)]
    low, _, high = quantiles(shares, n=4)
    return median(shares), low, high


def ways(results):
    """The columns of the results, by the way to the server."""
    columns = {}
    for column in results["rates"]:
        way, threads = column.split(", ")
        columns.setdefault(way, {})[threads] = column
    return columns


def table(results):
    """A table for each way to the server, as text."""
    lines = []
    for way, columns in ways(results).items():
        title = f"{way[0].upper()}{way[1:]}"
        lines.append(f"{title:30}{'trips':>5}" + "".join(f"{threads:>18}" for threads in columns))
        for name in CONTESTANTS:
            cells = []
            for column in columns.values():
                middle, low, high = ratios(results["rates"][column], name)
                cells.append(f"{middle:.2f} ({low:.2f}-{high:.2f})")
            trips = results["round_trips"][name]
            lines.append(f"{name:30}{trips:5.3g}" + "".join(f"{cell:>18}" for cell in cells))
        base = [f"{median(results['rates'][column][BASE]):.0f}" for column in columns.values()]
        lines.append(f"{'requests/s ' + BASE:35}" + "".join(f"{rate:>18}" for rate in base))
        lines.append("")
    return "\n".join(lines[:-1])


def plot(results, path):
    """Draw the ratios: a panel for each way to the server, a group for each contestant."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "simpycity_template"
    from matplotlib import pyplot

    found = ways(results)
    figure, panels = pyplot.subplots(1, len(found), figsize=(10, 5), sharey=True, squeeze=False)
    names = list(reversed(CONTESTANTS))
    for panel, (way, columns) in zip(panels[0], found.items(), strict=True):
        height = 0.8 / len(columns)
        for number, (threads, column) in enumerate(columns.items()):
            shares = [ratios(results["rates"][column], name) for name in names]
            panel.barh(
                [row + 0.4 - height * (number + 0.5) for row in range(len(names))],
                [share[0] for share in shares],
                height,
                xerr=[
                    [share[0] - share[1] for share in shares],
                    [share[2] - share[0] for share in shares],
                ],
                label=threads,
                error_kw={"linewidth": 0.8, "ecolor": "#444"},
                color=["#8fb8de", "#4a7fb5", "#1f4e79"][number % 3],
            )
        panel.axvline(1, color="#a33", linewidth=1)
        panel.set_yticks(range(len(names)), names)
        for label in panel.get_yticklabels():
            label.set_fontweight("bold" if label.get_text() == OURS else "normal")
        panel.set_title(way)
        panel.set_xlabel(f"requests per second, as a share of {BASE}")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0][-1].legend(frameon=False, loc="upper right")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main():
    """Measure, and publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=0.5, help="a round of one contestant")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        dsn = embedded.dsn(directory, "benchmark")
        witness = psycopg2.connect(dsn)
        witness.autocommit = True
        witness.cursor().execute(FUNCTION)
        process, through = delayed(dsn)
        contestants = [Contestant(name) for name in CONTESTANTS]
        results = {
            "round_trips": {each.name: each.round_trips(dsn) for each in contestants},
            "rates": {},
        }
        for way, address in {
            "local socket": dsn,
            f"TCP with {DELAY * 1000:g} ms": through,
        }.items():
            for threads in options.threads:
                results["rates"][f"{way}, {threads} thread{'s' * (threads > 1)}"] = compare(
                    contestants, witness, address, threads, options.rounds, options.seconds
                )
        for contestant in contestants:
            contestant.end()
        witness.close()
        process.stdin.close()
        process.wait(10)
    print(file=sys.stderr)
    publish("requests", table(results))
    plot(results, DOCS / "images" / "speed.svg")


if __name__ == "__main__":
    main()
