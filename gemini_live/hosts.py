"""Names and addresses of hosts. It decides, among others, where a secret may travel in clear text."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Return True if `host` is this machine: "localhost", or an address such as 127.0.0.1 or ::1.

    Names below "localhost" do not count: some resolvers ask other machines for them.
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
