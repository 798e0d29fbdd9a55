"""Room: the writer. Follows the journals of runs and keeps their NeXus files.

In: journals. Out: files, archives, catalogue rows, `RunFileClosed`. Imports: `files`, `catalogue`,
`bus`. Not here: the layout of a file (`files`).
"""
