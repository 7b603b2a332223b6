"""Brings the loopback interface up, where the `ip` command is not installed (Linux only)."""

import fcntl
import socket
import struct

# From <linux/sockios.h> and <net/if.h>.
SIOCSIFFLAGS, IFF_UP = 0x8914, 0x1

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
    fcntl.ioctl(asked, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))
