#!/usr/bin/env python3
"""Builds the tree of rich.catar: one node of each kind, with every kind of metadata that ext4 keeps.

usage: make-rich-tree.py DIR     (DIR must not exist; needs root and ext4; names are those of Debian's base system)
"""
import os, socket, stat, struct, subprocess, sys

top = sys.argv[1]
NOBODY = 0xFFFFFFFF
USER_OBJ, USER, GROUP_OBJ, GROUP, MASK, OTHER = 1, 2, 4, 8, 16, 32


def path(name):
    return os.path.join(top, name)


def acl(*entries):
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


os.umask(0o022)
os.makedirs(path("dir/sub"))
for name in ["plain", "xattr", "cap", "acl", "odd owner", "nodump", "nobody", "label"]:
    with open(path(name), "wb") as file:
        file.write(name.encode())
os.setxattr(path("xattr"), "user.one", b"first\0second")
os.setxattr(path("xattr"), "user.empty", b"")
os.setxattr(path("xattr"), "trusted.a", b"t\xc3\xa4")
os.setxattr(path("dir"), "user.d", b"dir")
os.setxattr(path("cap"), "security.capability", struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0))
os.setxattr(path("label"), "security.selinux", b"a_label\0")
os.chmod(path("acl"), 0o640)
os.setxattr(path("acl"), "system.posix_acl_access", acl(
    (USER_OBJ, 6, NOBODY), (USER, 7, 1), (USER, 4, 12345), (GROUP_OBJ, 4, NOBODY), (GROUP, 5, 33), (MASK, 7, NOBODY),
    (OTHER, 0, NOBODY)))
os.setxattr(path("dir"), "system.posix_acl_default", acl(
    (USER_OBJ, 7, NOBODY), (USER, 4, 7), (GROUP_OBJ, 5, NOBODY), (GROUP, 5, 33), (MASK, 5, NOBODY),
    (OTHER, 5, NOBODY)))
os.setxattr(path("dir"), "system.posix_acl_access", acl(
    (USER_OBJ, 7, NOBODY), (USER, 7, 1), (GROUP_OBJ, 5, NOBODY), (MASK, 7, NOBODY), (OTHER, 5, NOBODY)))
os.setxattr(path("dir/sub"), "system.posix_acl_default", acl(
    (USER_OBJ, 7, NOBODY), (GROUP_OBJ, 5, NOBODY), (OTHER, 5, NOBODY)))
os.mknod(path("char"), stat.S_IFCHR | 0o666, os.makedev(1, 3))
os.mknod(path("block"), stat.S_IFBLK | 0o640, os.makedev(259, 70000))
os.mkfifo(path("fifo"), 0o600)
os.setxattr(path("fifo"), "trusted.f", b"casync stores none of these")
os.symlink("a/b", path("link"))
listener = socket.socket(socket.AF_UNIX)
listener.bind(path("sock"))
os.chmod(path("plain"), 0o6755)
os.chown(path("odd owner"), 1, 33)
os.chown(path("nobody"), 54321, 54322)
os.chown(path("link"), 5, 6, follow_symlinks=False)
subprocess.check_call(["chattr", "+d", path("nodump")])
for directory, directories, files in os.walk(top, topdown=False):
    for name in files + directories:
        os.utime(os.path.join(directory, name), ns=(1, 1600000000123456789 + len(name)), follow_symlinks=False)
os.utime(top, ns=(1, 1600000001000000007))
