"""What pymeter's speed is measured by: ``python -m tests.benchmarks``. Not part of the test run.

rows/       one module per row of the table, each with its baseline
harness.py  runs a row: ours, baseline, ours, baseline ...
server.py   the server that is measured, deleted at the end
"""
