"""What a reader must know to judge the numbers."""

HOW = (
    "Main figure: CPU time of the proxy's whole process tree for each session, from the scheduler's "
    "nanosecond clock, from the first connection until 0.3 s after the last one ended. Children that "
    "have ended count through their parents.",
    "The proxy has one core to itself. The load generator, the two stores behind the proxy and "
    "whatever else a proxy asks share the other one; their CPU is not counted.",
    "Rounds are interleaved: every proxy is measured once in each round, and another one goes first "
    "each time. A ratio is taken within a round, between neighbours in time; the median of the "
    "rounds counts, and the least and the greatest are shown.",
    "As many sessions as fit into the time of a run, found out by the first round and the same in "
    "the others; all clients together connect from eight addresses.",
    "Users with an even number live in one store, the others in the other. The store makes up its "
    "mail from the user's name, so the load generator checks every byte of every message.",
    "A run is void, and shown as void, unless every session logged in (or was refused, where that is "
    "the point), the load generator's count of sessions is that of the stores, both stores had their "
    "share, every message was verified, every session spoke the TLS version and cipher it should, "
    "and was resumed or not as it should.",
    "Each proxy runs in a private network namespace. For Ethernet's segments its interface takes "
    "packets of 1500 bytes, and segmentation and receive offload are switched off: 1448 bytes of "
    "data in each, every one through the whole stack.",
    "The crypto floor is what one signature, one key generation and one derivation take in this "
    "machine's OpenSSL on the proxy's core: nothing that uses this library can be cheaper.",
)

SETUPS = (
    "All: TLS 1.2 and 1.3, X25519 first, AES-128-GCM as the client asks for it, one self-signed "
    "certificate, no log of sessions, no TLS towards the stores. Idle timeouts of an hour or so.",
    "Postern: one worker, users from a map of 1,000 lines, no session log (a row shows it with one).",
    "HAProxy: TCP mode, one thread, TLS offload. It does not speak POP3 and so cannot route by user: "
    "it deals sessions out in turn. It is here as the mark of what needs no understanding. In bulk its "
    "buffers are larger (tune.bufsize 65536), and without TLS it splices (option splice-response, "
    "tune.pipesize 1048576).",
    "nginx: mail module, one worker, proxy_buffer 16k, shared TLS cache and tickets. It asks an HTTP "
    "responder where a user lives, over a new connection for each login; the responder is another "
    "nginx whose CPU is not counted.",
    "Dovecot: login proxy, high-performance mode (service_count = 0, one login process), static "
    "passdb with proxy, no delay and no penalty for refusals.",
    "Perdition: regular expressions as map, no look-ups in DNS, a limit of 64 open files, because "
    "each child closes every number up to the limit. It offers P-256 only, so a client that comes "
    "with X25519 needs one more round trip.",
)

CAVEATS = (
    "Absolute numbers belong to one machine and one hour. Ratios travel better; differences under "
    "about a tenth mean nothing on a shared virtual machine.",
    "Loopback has no loss, no round-trip time and no network card.",
    "CPU for each session falls with load, because work comes in batches. Compare figures of one "
    "scenario, not of two.",
    "Throughput (sessions a second) is bounded by the load generator's core where the proxy's core "
    "is not near 100 % busy. CPU for each session is not affected by that.",
    "In a closed loop latency is queueing; look for latency at the fixed rates.",
    "The CPU of children that have ended is told in ticks of 10 ms by the kernel. That concerns "
    "Perdition, and is less than 2 % of a run.",
    "Memory is that of the processes. The kernel's socket buffers are not in it.",
    "One client program makes all the load. It speaks TLS with the same library as the proxies.",
)
