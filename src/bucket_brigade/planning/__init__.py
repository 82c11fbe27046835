"""From a job to batches: sources (walk, listing, manifest, catalog), filters, layouts, and the planner that journals them."""
