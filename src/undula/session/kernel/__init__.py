"""The prompt that everybody shares: one IPython kernel, and the line to it.

In: a client's names. Out: a kernel on Unix sockets, and `KernelLink`, which speaks Jupyter's
protocol with it. Imports: `client`, `session.bridge`. Not here: who may ask what
(`session.bridge`), keys and screens (`session.terminal`).
"""
