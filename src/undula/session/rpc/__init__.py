"""Requests and notifications over ZeroMQ and JSON, for programs beside the prompt.

In: `{"typ": "dev/keys", "path": "M"}`. Out: `{"err": "", "ret": [...]}`; notifications to all who
listen. `client.RpcClient` needs nothing of the rest; the wire is described in
`docs/reference/rpc.md`. Not here: the prompt itself (`session.bridge`, `session.kernel`).
"""
