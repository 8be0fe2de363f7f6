"""One durable queue behind every API dialect: service, scheduler, workers, events, retention."""
