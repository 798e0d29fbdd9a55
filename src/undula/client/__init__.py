"""Room: the Python interface to a running beamline; cli and session speak it.

In: calls. Out: requests on the bus, live points, arrays. Imports: `bus`, `catalogue`, `files`.
Not here: anything printed (`cli`, `session`).
"""
