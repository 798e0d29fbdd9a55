"""Room: scans. Check, queue, engine, recovery.

In: requests from the bus. Out: documents to the outbox, queue status. Imports: `plans`, `devices`,
`catalogue`, `bus`. Not here: writing files (`writer`), starting processes (`processes`).
"""
