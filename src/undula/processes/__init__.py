"""Room: composition roots, one file a process, and the supervisor.

In: settings. Out: running services. Imports: any room below. Not here: logic.
"""
