"""What Ray reads from the environment when it is imported: so this comes before `runtime/cluster/ray_fleet.py`."""

from __future__ import annotations

import os
import secrets

MODE, TOKENS = "RAY_AUTH_MODE", ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")  # since Ray 2.52
WIDE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"


def prepare(address: str) -> None:
    """No report of use is sent home, processes keep their priority, and what is started here stays here.

    Without an `address`, a cluster of one node is started; Ray would let it listen on all interfaces. Its switch
    for systems whose firewalls ask questions makes it listen on loopback alone, here too, and other users of the
    machine, who reach that as well, lack the token that is made for it. Ray also lowers the priority of its
    processes (nice 15), so that acting would come after everything else on the machine. What the user has set
    stays.
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
