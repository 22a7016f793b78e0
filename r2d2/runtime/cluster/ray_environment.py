"""What Ray reads from the environment when it is imported: so this comes before `runtime/cluster/ray_fleet.py`."""

from __future__ import annotations

import os


def prepare(address: str) -> None:
    """No report of use is sent home, processes keep their priority, and what is started here stays here.

    Without an `address`, a cluster of one node is started; Ray would let it listen on all interfaces. Its switch
    for systems whose firewalls ask questions makes it listen on loopback alone, here too. Ray also lowers the
    priority of its processes (nice 15), so that acting would come after everything else on the machine. What the
    user has set stays.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_worker_niceness", "0")
    if not address:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
