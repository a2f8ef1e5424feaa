"""The table that the comparisons print, and what failed in it.

A row is one comparison. A comparison that raises is a row too: it says what it met, and the others still run.
"""

import sys
import time
import traceback

HEAD = ["algorithm", "data", "peer", "measure", "ours", "theirs", "difference", "bar", "verdict"]


class Report:
    def __init__(self, algorithms):
        self.algorithms = algorithms
        self.rows = []
        self.failed = []
        self.seconds = {}

    def known(self, *algorithms):
        """Whether the server has them; says once what it has not."""
        absent = [name for name in algorithms if name not in self.algorithms]
        for name in absent:
            self.add(name, "", "", "", "", "", "", "", "absent")
        return not absent

    def run(self, algorithm, data, peer, compare):
        """Runs one comparison, which adds its rows itself."""
        start = time.perf_counter()
        try:
            compare()
        except Exception as error:  # noqa: BLE001
            traceback.print_exc(file=sys.stdout)
            text = str(error).replace("\n", " ")
            self.add(algorithm, data, peer, text[:300], "", "", "", "", "FAILED")
        self.seconds[algorithm] = self.seconds.get(algorithm, 0) + time.perf_counter() - start

    def within(self, algorithm, data, peer, measure, difference, bar):
        """A difference that must not be above the bar."""
        verdict = "ok" if difference <= bar else "FAILED"
        self.add(algorithm, data, peer, measure, "", "", f"{difference:.2e}", f"{bar:.0e}", verdict)

    def add(self, *row):
        if row not in self.rows:
            self.rows.append(row)
            if row[-1] == "FAILED":
                self.failed.append(" | ".join(part for part in row if part))

    def print(self, title):
        print(f"\n{title}\n")
        widths = [max(len(str(row[at])) for row in [HEAD, *self.rows]) for at in range(len(HEAD))]
        for row in [HEAD, ["-" * width for width in widths], *self.rows]:
            print("| " + " | ".join(str(part).ljust(width) for part, width in zip(row, widths)) + " |")
        spent = sorted(self.seconds.items(), key=lambda pair: -pair[1])
        print("\nseconds, both sides: " + ", ".join(f"{name} {seconds:.1f}" for name, seconds in spent))
