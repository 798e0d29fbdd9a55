"""Room: words of the prompt beside scans and moves: what is measured, which signals, macros.

In: the client, lines as typed. Out: functions for `session.commands`, transformed lines. Imports:
`client`. Not here: scans and moves (`session.commands`), plans of one's own (`session.planning`).
"""
