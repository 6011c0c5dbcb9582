// libfuse's low level. No _GNU_SOURCE here (see CLinux.h); the numbers of ioctls are macros that Swift cannot import.
#pragma once

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
#include <linux/fs.h>
#include <linux/msdos_fs.h>
#include <sys/sysmacros.h>

static const unsigned casync_get_flags = FS_IOC_GETFLAGS, casync_get_fsxattr = FS_IOC_FSGETXATTR,
                      casync_get_fat = FAT_IOCTL_GET_ATTRIBUTES;
// Capabilities of the kernel's side, macros too.
static const unsigned casync_posix_acl = FUSE_CAP_POSIX_ACL, casync_cache_symlinks = FUSE_CAP_CACHE_SYMLINKS;

static inline dev_t casync_device(unsigned major_number, unsigned minor_number) {
  return makedev(major_number, minor_number);
}
