"""A broker behind TLS: known by its certificate, or refused. Certificates are OpenSSL's."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from undula.bus import broker as embedded
from undula.bus.link import LOST, Address, Link
from undula.testing.local_broker import LocalBroker

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Of `localhost`, signed by itself; and its key."""
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", str(key),
         "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


def _carry(one: socket.socket, other: socket.socket) -> None:
    with suppress(OSError):
        while raw := one.recv(1 << 16):
            other.sendall(raw)
    with suppress(OSError):
        other.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def port(certificate: tuple[Path, Path], broker: LocalBroker) -> Iterator[int]:
    """Where TLS is spoken for the broker, which has a Unix socket only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    plain, _ = door.accept()
                    try:
                        near = context.wrap_socket(plain, server_side=True)
                    except OSError:  # it does not trust us
                        plain.close()
                        continue
                    far = socket.socket(socket.AF_UNIX)
                    far.connect(str(broker.paths.broker_socket))
                    for pair in ((near, far), (far, near)):
                        threading.Thread(target=_carry, args=pair, daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield door.getsockname()[1]
        door.shutdown(socket.SHUT_RDWR)


def _link(local: LocalBroker, url: str) -> Link:
    plain = embedded.address(local.paths, local.settings, "service", "tls")
    return Link(Address(url, plain.user, plain.password, "tls"))


def test_a_broker_is_known_by_its_certificate(
    port: int, certificate: tuple[Path, Path], broker: LocalBroker
) -> None:
    link = _link(broker, f"rediss://localhost:{port}?ssl_ca_certs={certificate[0]}")
    large = b"x" * 300_000
    assert link.call("PING") == b"PONG"
    assert link.call("PING", large) == large
    assert link.usable
    link.close()


@pytest.mark.parametrize("options", ["", "?ssl_check_hostname=false"])
def test_one_with_another_certificate_is_refused(port: int, options: str) -> None:
    with pytest.raises(LOST, match="certificate"):
        Link(Address(f"rediss://localhost:{port}{options}")).connect()


def test_one_may_be_believed_without_a_certificate(port: int, broker: LocalBroker) -> None:
    link = _link(broker, f"rediss://127.0.0.1:{port}?ssl_cert_reqs=none")
    assert link.call("PING") == b"PONG"
    link.close()
