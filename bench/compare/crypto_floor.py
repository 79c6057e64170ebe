#!/usr/bin/env python3
"""What the mathematics of one full TLS 1.3 handshake (ECDSA P-256, X25519) costs a server in this
machine's OpenSSL: one signature, one key generation, one derivation. Nothing can be cheaper with
this library, so it is a yardstick that travels between machines."""

import ctypes
import ctypes.util
import json
import subprocess
import sys
import time


def microseconds(value):
    """OpenSSL 3.0 prints operations a second in some of these fields, other versions seconds."""
    return value * 1e6 if value < 1 else 1e6 / value


def parse_speed(text):
    """Microseconds of one operation from the machine-readable lines of `openssl speed -mr`."""
    found = {}
    for line in text.splitlines():
        fields = line.split(":")
        if fields[0] == "+F4" and fields[2] == "256":  # ECDSA: signing, verifying
            found["ecdsa_p256_sign_us"] = microseconds(float(fields[3]))
        if fields[0] == "+F5" and fields[2] == "253":  # ECDH: deriving
            found["x25519_derive_us"] = microseconds(float(fields[-1]))
    return found


def keygen_us(seconds):
    """X25519 key generation, which `openssl speed` of 3.0 does not have. The calls through ctypes
    add about 1 us."""
    name = ctypes.util.find_library("crypto")
    crypto = ctypes.CDLL(name)
    crypto.EVP_PKEY_CTX_new_from_name.restype = ctypes.c_void_p
    context = ctypes.c_void_p(crypto.EVP_PKEY_CTX_new_from_name(None, b"X25519", None))
    if not context or crypto.EVP_PKEY_keygen_init(context) != 1:
        sys.exit("crypto_floor: OpenSSL makes no X25519 keys")
    key = ctypes.c_void_p()
    address = ctypes.byref(key)
    count, end = 0, time.monotonic() + seconds
    started = time.thread_time_ns()
    while time.monotonic() < end:
        for _ in range(200):
            key.value = None
            crypto.EVP_PKEY_keygen(context, address)
            crypto.EVP_PKEY_free(key)
        count += 200
    return (time.thread_time_ns() - started) / 1000 / count


def measure(seconds):
    text = subprocess.run(
        ["openssl", "speed", "-mr", "-seconds", str(seconds), "ecdsap256", "ecdhx25519"],
        capture_output=True, text=True, check=True).stdout
    floor = parse_speed(text)
    floor["x25519_keygen_us"] = keygen_us(seconds)
    floor["sum_us"] = sum(floor.values())
    return floor


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]) if len(sys.argv) > 1 else 1)))
