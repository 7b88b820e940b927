"""Known advisories of the packages that the image installs. Run `make audit`; it needs a network.

Exit code 0: no advisory is known. 1: advisories, listed. 3: the advisory service did not answer, so nothing is known.
"""

from __future__ import annotations

import os
import subprocess
import sys

from deploy.supply_chain.locked import RUNTIME

NOT_KNOWN = 3
SERVICE = "https://api.osv.dev/v1/query"


def main() -> int:
    """Asks the advisory service about each package, and returns the exit code."""
    service = os.environ.get("CART_ADVISORY_SERVICE") or SERVICE
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(RUNTIME), "--disable-pip", "--require-hashes"]
    command += ["--vulnerability-service", "osv", "--osv-url", service, "--progress-spinner", "off", "--timeout", "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 a fixed program
    if done.returncode == 0:
        sys.stdout.write(f"no advisory is known for the packages of {RUNTIME.name}\n")
        return 0
    # Findings are a table on standard output. Without one, it could not ask.
    if done.stdout.strip():
        sys.stdout.write(done.stdout + done.stderr)
        return 1
    last = done.stderr.strip().splitlines()[-1:] or ["no message"]
    sys.stderr.write(
        f"audit: {service} gave no answer, so nothing is known about advisories. This is no pass. Run it where the network "
        f"reaches the service ({last[0][:200]})\n"
    )
    return NOT_KNOWN


if __name__ == "__main__":
    sys.exit(main())
