"""Everything durable in PostgreSQL, for several servers at once."""
