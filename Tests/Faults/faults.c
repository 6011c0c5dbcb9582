// Lets chosen system calls of one process go wrong: loaded into it by LD_PRELOAD, told what to do by variables.
//
//   FAULTS_CALLS    the calls that count: any of read, write, sync, rename, zero, separated by commas
//   FAULTS_PATH     only calls on a file whose path has this in it; none means any
//   FAULTS_AT       the number of the call, from 1, at which it happens; 0 means never, they are only counted
//   FAULTS_ACTION   kill (SIGKILL to the own process, before the call), stop (SIGSTOP), short (half of the
//                   bytes), lost (a write that is not done but said to be), or the number of an errno
//   FAULTS_REPORT   file that gets "CALLS PEAK-KIB" when the process ends by itself
//
// Every call after an errno was returned succeeds again: what is tested is one failure at any moment.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <linux/fs.h>
#include <sys/types.h>
#include <unistd.h>

enum action { PROCEED, SHORTEN, LOSE, FAIL };

static const char *calls, *path, *action;
static long at;
static atomic_long count;

__attribute__((constructor)) static void start(void) {
  calls = getenv("FAULTS_CALLS");
  path = getenv("FAULTS_PATH");
  action = getenv("FAULTS_ACTION");
  const char *number = getenv("FAULTS_AT");
  at = number ? atol(number) : 0;
}

// The peak is read here because rusage's includes that of the process that started this one.
__attribute__((destructor)) static void report(void) {
  const char *name = getenv("FAULTS_REPORT");
  FILE *status = name ? fopen("/proc/self/status", "r") : NULL;
  FILE *out = status ? fopen(name, "w") : NULL;
  if (out) {
    long peak = 0;
    char line[256];
    while (fgets(line, sizeof line, status)) sscanf(line, "VmHWM: %ld", &peak);
    fprintf(out, "%ld %ld\n", atomic_load(&count), peak);
    fclose(out);
  }
  if (status) fclose(status);
}

static int is_chosen(const char *call, const char *name) {
  size_t length = strlen(call);
  for (const char *at = calls; at && (at = strstr(at, call)); at += length) {
    if ((at == calls || at[-1] == ',') && (!at[length] || at[length] == ',')) {
      return !path || !*path || strstr(name, path);
    }
  }
  return 0;
}

// What is to happen to a call on the file `name`.
static enum action happens(const char *call, const char *name) {
  if (!is_chosen(call, name) || atomic_fetch_add(&count, 1) + 1 != at || !action) return PROCEED;
  if (!strcmp(action, "kill")) kill(getpid(), SIGKILL);
  if (!strcmp(action, "stop")) kill(getpid(), SIGSTOP);
  if (!strcmp(action, "short")) return SHORTEN;
  if (!strcmp(action, "lost")) return LOSE;
  errno = atoi(action);
  return errno ? FAIL : PROCEED;
}

// The same for a descriptor. Standard error is never meant: it carries the message that is tested.
static enum action happens_to(const char *call, int fd) {
  char link[32], name[PATH_MAX] = "";
  if (fd == 2 || !calls) return PROCEED;
  if (path && *path) {
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    if (readlink(link, name, sizeof name - 1) < 0) name[0] = 0;
  }
  return happens(call, name);
}

// Half of the bytes; whole blocks where the kernel takes nothing else.
static size_t part(int fd, size_t length) {
  size_t half = length / 2;
  if (fcntl(fd, F_GETFL) & O_DIRECT) half = half / 4096 * 4096;
  return half ? half : length;
}

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

#define TRANSFER(call, fd, length)         \
  enum action what = happens_to(call, fd); \
  if (what == FAIL) return -1;             \
  if (what == LOSE) return length;         \
  if (what == SHORTEN) length = part(fd, length)

ssize_t read(int fd, void *bytes, size_t length) {
  REAL(read);
  TRANSFER("read", fd, length);
  return real(fd, bytes, length);
}

ssize_t pread(int fd, void *bytes, size_t length, off_t offset) {
  REAL(pread);
  TRANSFER("read", fd, length);
  return real(fd, bytes, length, offset);
}

ssize_t write(int fd, const void *bytes, size_t length) {
  REAL(write);
  TRANSFER("write", fd, length);
  return real(fd, bytes, length);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t offset) {
  REAL(pwrite);
  TRANSFER("write", fd, length);
  return real(fd, bytes, length, offset);
}

int fsync(int fd) {
  REAL(fsync);
  return happens_to("sync", fd) == FAIL ? -1 : real(fd);
}

int fdatasync(int fd) {
  REAL(fdatasync);
  return happens_to("sync", fd) == FAIL ? -1 : real(fd);
}

int syncfs(int fd) {
  REAL(syncfs);
  return happens_to("sync", fd) == FAIL ? -1 : real(fd);
}

int rename(const char *from, const char *to) {
  REAL(rename);
  return happens("rename", to) == FAIL ? -1 : real(from, to);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags) {
  REAL(renameat2);
  return happens("rename", to) == FAIL ? -1 : real(from_dir, from, to_dir, to, flags);
}

int fallocate(int fd, int mode, off_t offset, off_t length) {
  REAL(fallocate);
  return happens_to("zero", fd) == FAIL ? -1 : real(fd, mode, offset, length);
}

int ioctl(int fd, unsigned long request, ...) {
  REAL(ioctl);
  va_list arguments;
  va_start(arguments, request);
  void *argument = va_arg(arguments, void *);
  va_end(arguments);
  if (request == BLKZEROOUT && happens_to("zero", fd) == FAIL) return -1;
  return real(fd, request, argument);
}
