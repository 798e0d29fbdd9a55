"""Room: what everybody needs and what needs nobody.

Errors, identifiers, time, places, logs and fault points. Imports: the standard library, structlog.
"""
