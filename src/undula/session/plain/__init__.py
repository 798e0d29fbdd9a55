"""The bridge and the RPC inside a plain IPython: `U = server_start(M, D, RE)`.

In: groups of ophyd devices, a RunEngine. Out: the same requests, replies and notifications as of a
beamline's session (`session.rpc`). For who wants only this part: no engine, no files, no log in.
"""

from __future__ import annotations

from undula.session.plain.start import PlainSession, server_start

__all__ = ["PlainSession", "server_start"]
