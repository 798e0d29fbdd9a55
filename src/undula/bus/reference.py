"""Room: the message bus. The endpoint reference page and the access rules, written from the code.

In: `ENDPOINTS`. Out: `docs/reference/endpoints.md` and `docs/reference/broker_access.acl`; a test
fails when they differ. Run: `python -m undula.bus.reference --write` in the project folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

from undula.bus.access import reference_text
from undula.bus.endpoints import ENDPOINTS
from undula.core.generated import compare_or_write

_HEAD = """\
# Endpoints

Every name on the bus. This page is generated from the code; do not edit it.

Deliveries: `latest` keeps the last value and publishes it; `stream` keeps the last entries up to
its bound; `journal` keeps everything until its run is archived; `send` is published and forgotten;
`request` gets exactly one reply, or an error, before its deadline.

A request of id `ID` is answered in the list `replies/ID`; its outcome is kept for a day in
`outcomes/ID`.

| endpoint | carries | delivery | bound | readers | writers | what it is |
| --- | --- | --- | --- | --- | --- | --- |
"""


def endpoints_page() -> str:
    """The reference page, markdown."""
    rows = [
        f"| `{e.pattern}` | `{e.message.__name__}` | {e.delivery} | {e.maxlen or ''} "
        f"| {', '.join(e.readers)} | {', '.join(e.writers)} | {e.description} |"
        for e in ENDPOINTS
    ]
    return _HEAD + "\n".join(rows) + "\n"


PAGES = {
    Path("docs/reference/endpoints.md"): endpoints_page,
    Path("docs/reference/broker_access.acl"): reference_text,
}


def main(argv: list[str] | None = None) -> int:
    """Compare the pages with the code, or write them. Exit: 0 equal or written, 1 different."""
    return compare_or_write(
        "undula.bus.reference", "Endpoint reference and access rules.", PAGES, argv
    )


if __name__ == "__main__":
    sys.exit(main())
