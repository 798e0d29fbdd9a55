"""The terminal on the shared prompt: keys, colours, status bar; several people at once.

In: keys, what the kernel publishes, the queue. Out: text on a terminal. Imports: `session.kernel`.
Nothing here runs a command: the kernel does.
"""
