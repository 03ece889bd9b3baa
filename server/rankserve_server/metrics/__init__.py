"""What a server counts, and how Prometheus gets it.

Whoever answers requests counts in plain numbers that belong to his thread: no locks, and no names of metrics or labels.
A scrape reads them, on a thread of its own.

distribution.py     values, counted by bucket
call_counts.py      calls by method, status code and time
queue_counts.py     batches, waits, refusals
version_counts.py   requests and scores of one version
load_counts.py      versions that were loaded or could not be
counted_services.py counts the calls of grpcio's public servers
families.py         the names: from the numbers to Prometheus' families
server_metrics.py   all of one process
reports.py          the families of several processes as one
worker_reports.py   from a worker to its supervisor
endpoint.py         GET /metrics
"""
