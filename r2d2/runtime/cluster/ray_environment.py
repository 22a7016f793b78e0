"""Environment variables that Ray reads on import: call `prepare` before `runtime/cluster/ray_fleet.py`."""

from __future__ import annotations

import os
import secrets

MODE, TOKENS = "RAY_AUTH_MODE", ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")  # since Ray 2.52
WIDE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


def prepare(address: str) -> None:
    """Turns off usage reports and lower priorities, and keeps a local cluster private.

    Without an `address`, a cluster of one node is started; Ray would let it listen on all interfaces. Its option
    for systems with interactive firewalls makes it listen on loopback only, here too; other users of the machine,
    who can reach loopback as well, lack the token that is made for it. Ray also lowers the priority of its
    processes (nice 15), so acting would yield to everything else on the machine. Variables that the user has set
    are kept.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")
    if not address:
        os.environ.setdefault(WIDE, "0")
        if MODE not in os.environ:
            os.environ[MODE] = "token"
            if not any(name in os.environ for name in TOKENS):
                os.environ[TOKENS[0]] = secrets.token_hex(32)


def exposure(address: str) -> str | None:
    """A warning if others can reach the cluster and run code there, None if not."""
    if address and os.environ.get(MODE) != "token":
        return (
            f"anybody who reaches {address} can run code there: start the cluster with {MODE}=token "
            "(`ray get-auth-token --generate`), or keep its ports behind a firewall"
        )
    if not address and os.environ.get(WIDE) != "0":
        guard = "a token" if os.environ.get(MODE) == "token" else "nothing"
        return (
            f"Ray listens on all interfaces of this machine, since {WIDE}={os.environ[WIDE]}, guarded by {guard}: "
            f"unset it, or keep the ports behind a firewall"
        )
    if not address and os.environ.get(MODE) != "token":
        return f"other users of this machine can run code in the cluster, since {MODE}={os.environ[MODE]}: unset it"
    return None
