"""Room: HDF5/NeXus parts. Layout, growth, snapshot, repair, archive of a journal.

In: event-model documents. Out: files. Called by: `writer`, `client`. Imports: h5py, `messages`.
Not here: where documents come from (`writer`).
"""
