"""Running cells, whatever happens: the driver and its ledger, isolated runs, executors. Knows no statistics."""
