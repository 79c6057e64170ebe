"""Whom the proxy believes to be the backend."""

import pytest
from faulty_upstream.faulty_upstream import tls_context
from faulty_upstream.pop3_backend import Backend

UNAVAILABLE = b"-ERR [SYS/TEMP] Account is temporarily unavailable\r\n"

# What the operator says: (keys of the backend, names in its certificate, its addresses) -> works.
CASES = {
    "the name is right": ({"ca": True, "server_name": "backend.test"}, "backend.test", (), True),
    "a wildcard": ({"ca": True, "server_name": "a.backend.test"}, "*.backend.test", (), True),
    "another name": ({"ca": True, "server_name": "backend.test"}, "other.test", (), False),
    "the name in front only": (
        {"ca": True, "server_name": "backend.test"}, "backend.test.evil.test", (), False,
    ),
    "the address is right": ({"ca": True}, "other.test", ("127.0.0.1",), True),
    "another address": ({"ca": True}, "127.0.0.1.test", ("127.0.0.2",), False),
    "no authority named": ({"server_name": "backend.test"}, "backend.test", (), False),
    "the word insecure": ({"insecure": True}, "other.test", (), True),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("mode", ["tls", "stls"])
def test_a_backend_is_believed_by_authority_and_name(build_house, certificates, mode, case):
    """U04, U11, U12: the same checks on both ways to TLS; less of them takes the word insecure,
    which the metrics repeat."""
    keys, name, addresses, works = CASES[case]
    certificate = certificates.leaf((name,), ips=addresses)
    backend = Backend(mode=mode, tls=tls_context(certificate.chain, certificate.key))
    table = {"name": "good", "address": backend.address,
             "tls": "implicit" if mode == "tls" else "stls", **keys}  # fmt: skip
    if keys.get("ca"):
        table["ca"] = certificate.ca
    spare = Backend()
    with_spare = {"name": "spare", "address": spare.address}
    config = {
        "backend": [table, with_spare],
        "route": [{"users": "alive@example.org", "backend": "spare"},
                  {"users": "*", "backend": "good"}],
    }  # fmt: skip
    house = build_house(config, backend=backend, more_backends=[spare])
    with house.connect() as client:
        answer = client.log_in("anna@example.org", "open sesame")
    assert answer == (b"+OK Logged in.\r\n" if works else UNAVAILABLE)
    insecure = house.count("postern_insecure_upstreams")
    assert insecure == (1 if keys.get("insecure") else 0)
    for visit in backend.visits():
        assert visit.over.wait(60)
        assert b"sesame" not in visit.clear
        assert works == (visit.passwords == [b"open sesame"])
    assert house.count("postern_backend_errors_total", reason="tls") == (0 if works else 1)
