"""Commands of people and programs on one shared prompt, each with its own author and one outcome.

In: calls with typed arguments, or code. Out: events for everybody. Imports: `client`. Not here: how
a prompt is reached (`session.kernel`, `session.plain`), nor the wire (`session.rpc`).
"""
