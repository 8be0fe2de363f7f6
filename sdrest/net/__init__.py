"""Outgoing HTTP: fetching pictures, posting webhooks, streaming downloads; every address is judged first."""
