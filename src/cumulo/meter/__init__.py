"""Usage records, the price book and the bill.

    services -> Meter.record -> journal -> usage by hour (SQLite) -> charge (tiers, free tier) -> Bill -> views

`charge.py` and `bill.py` decide and do nothing else; `meter.py` keeps; `views.py` shows.
"""
