"""Stripe: its biller, the meaning of its answers, and its webhooks (extra ``stripe``)."""
