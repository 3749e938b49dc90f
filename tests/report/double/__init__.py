"""A double of Stripe's meters and invoice items: an HTTP server that real clients, stripe-python first, use.

    with running.in_thread() as double:           # or running.in_process(), or fixtures.stripe_double
        double.create_meter("api_calls")          # in both worlds; also formula="last" and others
        client = stripe.StripeClient("sk_live_any", base_addresses=double.base_addresses)
        double.fault("drop_after", customer="cus_1")                 # applied, but never answered; once
        double.fault("error_before", probability=0.05, seed=7, times=None)   # kinds and fields: faults.py
        double.fault("hold_before"); double.wait_until_held()        # stop a call there, kill its sender ...
        double.release()                                             # ... and let it go on
        double.advance(25 * 3600)                                    # past the deduplication window
        double.settings(visibility_delay=60, unknown_customers=["cus_2"])    # all of them: settings.py
        assert double.totals() == {("cus_1", "api_calls", hour): Decimal("0.3")}   # exact
        assert double.counters()["counted_twice"] == []              # and conflicts, duplicates, requests ...

``python -m tests.report.double --port 0`` prints the URLs of both APIs. ``Double(url, control_url)``
is the class above for a double that runs elsewhere; ``control.py`` is the same in JSON, for other programs.
Keys that begin with sk_live_ and sk_test_ see two worlds; faults, settings and the clock are shared by both.

What is not documented is a setting, and its default is the side that is harder on the sender. Not doubled:
the v2 meter event stream, and invoices themselves.
No double can show that Stripe does what its documentation says.
"""

from .client import Double
from .webhook import Webhook

__all__ = ["Double", "Webhook"]
