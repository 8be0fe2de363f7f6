"""Who calls: accounts, sessions, API keys, signed addresses, throttling. No HTTP and no SQL here."""
