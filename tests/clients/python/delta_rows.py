"""Prints the rows of a Delta table as `deltalake` reads them, a line each: `id n p`."""

import os
import sys

from deltalake import DeltaTable

rows = DeltaTable(sys.argv[1]).to_pyarrow_table(columns=["id", "n", "p"])
for id, n, p in zip(*(column.to_pylist() for column in rows.columns)):
    print(id, n, p)
# The threads of `deltalake` may abort a process that ends as usual, after all is done.
sys.stdout.flush()
os._exit(0)
