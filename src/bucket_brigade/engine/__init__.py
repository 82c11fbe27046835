"""Execution: the queue of leased batches, the worker that runs them, and the pool of worker processes."""
