"""Room: shipped test parts: hostile payloads, contract suites, witnesses.

Imported by nobody at run time; plugins may use it in their own tests.
"""
