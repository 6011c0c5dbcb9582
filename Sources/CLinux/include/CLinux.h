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
#include <linux/genetlink.h>
#include <linux/loop.h>
#include <linux/nbd.h>
#include <linux/netlink.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "process.h"
#include "tree.h"

static inline int casync_open(const char *path, int flags, mode_t mode) { return open(path, flags, mode); }
static inline int casync_openat(int dir, const char *path, int flags, mode_t mode) {
  return openat(dir, path, flags, mode);
}
// Under other names: a method of the same name hides the call from its own body.
static inline ssize_t casync_read(int fd, void *bytes, size_t count) { return read(fd, bytes, count); }
static inline ssize_t casync_write(int fd, const void *bytes, size_t count) { return write(fd, bytes, count); }
// RWF_NOWAIT: only what is in the page cache.
static inline ssize_t casync_read_nowait(int fd, void *bytes, size_t count, off_t offset) {
  struct iovec part = {bytes, count};
  return preadv2(fd, &part, 1, offset, RWF_NOWAIT);
}
/// cachestat(2): 1 when all of `count` bytes from `offset` are in the page cache, 0 when not, or when the kernel (before
/// 6.5) does not tell.
static inline int casync_is_cached(int fd, uint64_t offset, uint64_t count) {
  // __NR_cachestat, which older headers lack, is the same on x86-64 and arm64.
  const long cachestat = 451;
  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
  uint64_t range[2] = {offset, count};
  // Pages that are cached come first; the others are dirty, under write-back, evicted, and recently evicted.
  uint64_t pages[5];
  if (syscall(cachestat, fd, range, pages, 0) != 0) return 0;
  return pages[0] >= (offset + count - 1) / page - offset / page + 1;
}
static inline ssize_t casync_sendfile(int to, int from, off_t offset, size_t count) {
  return sendfile(to, from, &offset, count);
}
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

// epoll_event is packed and holds a union; these take and give its parts. `operation` is EPOLL_CTL_ADD, _MOD or _DEL.
static inline int casync_epoll_control(int poller, int operation, int fd, uint32_t events, uint64_t token) {
  struct epoll_event event = {.events = events, .data.u64 = token};
  return epoll_ctl(poller, operation, fd, &event);
}
/// Fills at most 64 of each, returns how many.
static inline int casync_epoll_wait(int poller, uint64_t tokens[64], uint32_t events[64], int milliseconds) {
  struct epoll_event ready[64];
  int count = epoll_wait(poller, ready, 64, milliseconds);
  for (int i = 0; i < count; i++) {
    tokens[i] = ready[i].data.u64;
    events[i] = ready[i].events;
  }
  return count;
}
static const uint32_t casync_epollin = EPOLLIN, casync_epollout = EPOLLOUT, casync_epollhup = EPOLLHUP,
                      casync_epollerr = EPOLLERR;
// Names of calls that methods have too.
static inline int casync_listen(int fd, int backlog) { return listen(fd, backlog); }
static inline int casync_accept(int fd) { return accept4(fd, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC); }
/// The address families and kinds are enumerations in Swift, so the call is made here.
static inline int casync_stream_socket(int family) {
  return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}
static inline int casync_set_option(int fd, int level, int option, int value) {
  return setsockopt(fd, level, option, &value, sizeof value);
}
/// Lets a UNIX socket hold so many bytes for its reader, if need be beyond net.core.wmem_max where we may.
static inline void casync_set_room(int fd, int bytes) {
  if (casync_set_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, bytes) != 0) casync_set_option(fd, SOL_SOCKET, SO_SNDBUF, bytes);
}
/// Whether a descriptor is a listening stream socket.
static inline int casync_is_listening(int fd) {
  int value = 0;
  socklen_t length = sizeof value;
  return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &value, &length) == 0 && value;
}
static inline int casync_make_private(int fd) {
  return fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ? -1 : fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}
/// Makes the address of a UNIX socket; returns its length, 0 when the path is too long.
static inline socklen_t casync_unix_address(struct sockaddr_un *address, const char *path, size_t length) {
  if (length >= sizeof address->sun_path) return 0;
  address->sun_family = AF_UNIX;
  for (size_t i = 0; i <= length; i++) address->sun_path[i] = i < length ? path[i] : 0;
  return (socklen_t)(sizeof(sa_family_t) + length + 1);
}
static inline int casync_bind_unix(int fd, const char *path, size_t length) {
  struct sockaddr_un address;
  socklen_t size = casync_unix_address(&address, path, length);
  if (size == 0) return errno = ENAMETOOLONG, -1;
  return bind(fd, (struct sockaddr *)&address, size);
}
static inline int casync_connect_unix(int fd, const char *path, size_t length) {
  struct sockaddr_un address;
  socklen_t size = casync_unix_address(&address, path, length);
  if (size == 0) return errno = ENAMETOOLONG, -1;
  return connect(fd, (struct sockaddr *)&address, size);
}
/// Writes the address that a socket is bound to, as `host`, 0 or `port`; the path of a UNIX socket stands in `host`.
static inline int casync_local_address(int fd, char host[128], uint16_t *port) {
  union {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    struct sockaddr_un local;
  } address = {0};
  socklen_t length = sizeof address;
  host[0] = 0;
  *port = 0;
  if (getsockname(fd, &address.any, &length) < 0) return -1;
  if (address.any.sa_family == AF_UNIX) {
    for (size_t i = 0; i < sizeof address.local.sun_path && i < 127; i++) {
      host[i] = address.local.sun_path[i];
      host[i + 1] = 0;
    }
    return AF_UNIX;
  }
  *port = ntohs(address.any.sa_family == AF_INET6 ? address.six.sin6_port : address.four.sin_port);
  if (getnameinfo(&address.any, length, host, 128, 0, 0, NI_NUMERICHOST) != 0) return errno = EINVAL, -1;
  return address.any.sa_family;
}

/// Two connected stream sockets that do not block.
static inline int casync_socket_pair(int ends[2]) {
  return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends);
}
/// A socket to the kernel's generic netlink, bound.
static inline int casync_netlink_socket(void) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
  struct sockaddr_nl address = {.nl_family = AF_NETLINK};
  if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) < 0) {
    int number = errno;
    close(fd);
    errno = number;
    return -1;
  }
  return fd;
}

// Calls on a network block device (linux/nbd.h); the argument of each is a number.
static const unsigned long casync_nbd_set_sock = NBD_SET_SOCK, casync_nbd_set_blksize = NBD_SET_BLKSIZE,
                           casync_nbd_do_it = NBD_DO_IT, casync_nbd_clear_sock = NBD_CLEAR_SOCK,
                           casync_nbd_set_size_blocks = NBD_SET_SIZE_BLOCKS,
                           casync_nbd_disconnect = NBD_DISCONNECT, casync_nbd_set_timeout = NBD_SET_TIMEOUT,
                           casync_nbd_set_flags = NBD_SET_FLAGS;
static inline int casync_nbd(int fd, unsigned long call, unsigned long argument) { return ioctl(fd, call, argument); }

/// Makes this thread, and those it starts, one of those that write-back waits for (PR_SET_IO_FLUSHER), and keeps what
/// the process touches in memory.
static inline void casync_prepare_to_back_device(void) {
  prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
  mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT);
}
static inline int casync_pipe(int ends[2]) { return pipe2(ends, O_CLOEXEC); }
/// Starts this program once more with the arguments `words`, in a session of its own: standard input and output are
/// /dev/null, standard error is `errors`, descriptor 3 is `ready`. Returns its number; 0, with errno set, on failure.
static inline pid_t casync_spawn_daemon(char *const words[], int errors, int ready) {
  extern char **environ;
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  pid_t process = 0;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  posix_spawn_file_actions_adddup2(&actions, errors, 2);
  posix_spawn_file_actions_adddup2(&actions, ready, 3);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  errno = posix_spawn(&process, "/proc/self/exe", &actions, &attributes, words, environ);
  if (errno != 0) process = 0;
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  return process;
}
