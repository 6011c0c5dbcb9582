// What Swift cannot import of Linux: macros, variadics, and calls that Glibc's module map leaves out.
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
// Swift's Glibc module has the fd_set of plain C; with _GNU_SOURCE its member has another name, and a file that imports
// both modules cannot be compiled.
#include <features.h>
#pragma push_macro("__USE_XOPEN")
#undef __USE_XOPEN
#include <sys/select.h>
#pragma pop_macro("__USE_XOPEN")
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/un.h>
#include <unistd.h>

#include "tree.h"

static inline int casync_open(const char *path, int flags, mode_t mode) { return open(path, flags, mode); }
static inline int casync_openat(int dir, const char *path, int flags, mode_t mode) {
  return openat(dir, path, flags, mode);
}
// Under other names: a method of the same name hides the call from its own body.
static inline ssize_t casync_read(int fd, void *bytes, size_t count) { return read(fd, bytes, count); }
static inline ssize_t casync_write(int fd, const void *bytes, size_t count) { return write(fd, bytes, count); }
static inline int casync_rename(const char *from, const char *to) { return rename(from, to); }
static inline int casync_renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
  return renameat2(from_dir, from, to_dir, to, flags);
}
static inline int casync_fcntl_flags(int fd) { return fcntl(fd, F_GETFL); }
static inline int casync_set_fcntl_flags(int fd, int flags) { return fcntl(fd, F_SETFL, flags); }

/// Size of a block device in bytes.
static inline int casync_blkgetsize64(int fd, uint64_t *size) { return ioctl(fd, BLKGETSIZE64, size); }
/// Logical block size of a block device in bytes.
static inline int casync_blksszget(int fd, int *size) { return ioctl(fd, BLKSSZGET, size); }
/// Zeroes `range` (offset, length); the kernel guarantees zeros.
static inline int casync_blkzeroout(int fd, uint64_t range[2]) { return ioctl(fd, BLKZEROOUT, range); }
/// Drops the kernel's cached pages of a device after writing what is dirty.
static inline int casync_blkflsbuf(int fd) { return ioctl(fd, BLKFLSBUF, 0); }
/// Reads the partition table again.
static inline int casync_blkrrpart(int fd) { return ioctl(fd, BLKRRPART, 0); }
/// Makes `length` bytes at `to_offset` of `to` share the blocks of `from`.
static inline int casync_ficlonerange(int to, int from, uint64_t from_offset, uint64_t length, uint64_t to_offset) {
  struct file_clone_range range = {from, from_offset, length, to_offset};
  return ioctl(to, FICLONERANGE, &range);
}
static inline unsigned casync_major(dev_t device) { return major(device); }
static inline unsigned casync_minor(dev_t device) { return minor(device); }
static inline dev_t casync_makedev(unsigned major_number, unsigned minor_number) {
  return makedev(major_number, minor_number);
}
static inline int casync_winsize_columns(int fd) {
  struct winsize size;
  return ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}
static inline int casync_cpu_count(cpu_set_t *set) { return CPU_COUNT(set); }
