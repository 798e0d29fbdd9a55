"""Room: the message bus. Endpoints, codec, connector, embedded broker, access rules, publisher.

In: messages. Out: messages. Called by: every process. Imports: redis, ormsgpack, and
`messages`, `core`.
Not here: what a message means (`scans`, `writer`, ...), who starts the broker (`processes`).
"""
