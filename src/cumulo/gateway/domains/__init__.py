"""Custom domain names of all kinds of APIs: what is kept of them, which API a request is for, and what TLS shows.

desk ──▶ records, commit ──▶ directory (who answers for a host and a path) ◀── front
                                 └──▶ showing (certificates, whose clients are trusted) ◀── wire/secure.py
"""
