"""A run counts only when every session was proxied, routed and verified. Here is what is compared;
each problem is one sentence, and one is enough to void the run."""


def problems(result, served, expected):
    """`result` is postern-load's JSON, `served` what each store says it served, `expected` has
    "sessions" (of the measured run), "others" (before and beside it), "checks_max" (connections that
    the proxy may have made for itself), "tls" (version and cipher, or
    ""), "resumed" (bool), "messages" (of each session), "message_bytes_min", "wrong_percent"."""
    found = []
    sessions = expected["sessions"]
    if result["failed"]:
        kind, entry = next(iter(result["failures"].items()))
        found.append(f"{result['failed']} sessions failed ({kind}: {entry['example']})")
    if result["sessions"] != sessions:
        found.append(f"{result['sessions']} of {sessions} sessions ran")
    total = sum(served.values())
    if not 0 <= total - sessions - expected["others"] <= expected["checks_max"]:
        found.append(f"the stores served {total} sessions, the clients had "
                     f"{sessions + expected['others']}")
    # Even and odd users are drawn at random, each with the probability of one half.
    if total >= 100 and min(served.values()) < 0.3 * total:
        found.append(f"the stores served {' and '.join(map(str, served.values()))} sessions: "
                     "users are not routed")
    return found + _logins(result, expected) + _tls(result, expected) + _mail(result, expected)


def _logins(result, expected):
    """Every login was judged by a store: taken or, with a wrong password, refused."""
    refused, percent = result["refused_as_expected"], expected["wrong_percent"]
    found = []
    if result["logins"] + refused != expected["sessions"]:
        found.append(f"{result['logins']} logins and {refused} refusals of {expected['sessions']}")
    if percent and expected["sessions"] >= 200 and not (
            0.5 * percent < 100 * refused / expected["sessions"] < 1.5 * percent):
        found.append(f"{refused} of {expected['sessions']} logins were refused, not {percent} %")
    return found


def _mail(result, expected):
    wanted = expected["sessions"] * expected["messages"]
    found = []
    if result["messages"] != wanted or result["messages_verified"] != wanted:
        found.append(f"{result['messages_verified']} messages were verified, {wanted} expected")
    if result["message_bytes"] < wanted * expected["message_bytes_min"]:
        found.append(f"{result['message_bytes']} bytes of mail are too few")
    return found


def _tls(result, expected):
    found = []
    if not expected["tls"]:
        if result["tls_handshakes"]:
            found.append("TLS was spoken")
        return found
    if result["tls_handshakes"] < result["sessions"]:
        found.append(f"{result['tls_handshakes']} TLS handshakes for {result['sessions']} sessions")
    for kind, count in result["tls_kinds"].items():
        if not kind.startswith(expected["tls"]):
            found.append(f"{count} sessions spoke {kind}")
    resumed = result["tls_resumed"]
    # Each client's first session of a run is a full handshake.
    if expected["resumed"] and resumed < 0.9 * result["tls_handshakes"]:
        found.append(f"only {resumed} of {result['tls_handshakes']} sessions were resumed")
    if not expected["resumed"] and resumed:
        found.append(f"{resumed} sessions were resumed")
    return found
