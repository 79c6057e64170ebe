"""A run counts only when every session was proxied, routed and verified. Here is what is compared;
each problem is one sentence, and one is enough to void the run."""


def problems(result, served, expected):
    """`result` is postern-load's JSON, `served` what each store says it served, `expected` has
    "sessions" (of the measured run), "warm" (before it), "tls" (version and cipher, or ""),
    "resumed" (bool), "messages" (of each session), "message_bytes_min", "refused_percent"."""
    found = []
    sessions = expected["sessions"]
    found += _ended_well(result, expected)
    if result["sessions"] != sessions:
        found.append(f"{result['sessions']} of {sessions} sessions ran")
    total = sum(served.values())
    if total != sessions + expected["warm"]:
        found.append(f"the stores served {total} sessions, the clients had "
                     f"{sessions + expected['warm']}")
    # Even and odd users are drawn at random, each with the probability of one half.
    if total >= 100 and min(served.values()) < 0.3 * total:
        found.append(f"the stores served {' and '.join(map(str, served.values()))} sessions: "
                     "users are not routed")
    found += _tls(result, expected)
    wanted = sessions * expected.get("messages", 0)
    if result["messages"] != wanted or result["messages_verified"] != wanted:
        found.append(f"{result['messages_verified']} messages were verified, {wanted} expected")
    if result["message_bytes"] < wanted * expected.get("message_bytes_min", 0):
        found.append(f"{result['message_bytes']} bytes of mail are too few")
    return found


def _ended_well(result, expected):
    percent = expected.get("refused_percent", 0)
    refused = result["failures"].get("refused", {}).get("count", 0) if percent else 0
    bad = result["failed"] - refused
    found = []
    if bad:
        example = next((f"{kind}: {entry['example']}" for kind, entry in result["failures"].items()
                        if not (percent and kind == "refused")), "")
        found.append(f"{bad} sessions failed ({example})")
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
