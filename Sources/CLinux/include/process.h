// Starting a program.
#pragma once

#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/// Starts `arguments[0]`, looked for in PATH, with `channel` as standard input and output and `errors` as standard error.
/// It gets SIGTERM when the calling thread ends, no blocked signals, and none of our other descriptors that are
/// close-on-exec. Returns its process ID, or -1 with errno: that of the exec where that is what failed.
static inline pid_t casync_spawn(char *const arguments[], int channel, int errors) {
  int report[2];
  if (pipe2(report, O_CLOEXEC) < 0) return -1;
  pid_t parent = getpid();
  pid_t child = fork();
  if (child == 0) {
    // Nothing but async-signal-safe calls: other threads may have held any lock.
    sigset_t none;
    sigemptyset(&none);
    signal(SIGPIPE, SIG_DFL);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(127);
    if (dup2(channel, 0) >= 0 && dup2(channel, 1) >= 0 && dup2(errors, 2) >= 0) {
      sigprocmask(SIG_SETMASK, &none, 0);
      execvp(arguments[0], arguments);
    }
    int number = errno;
    while (write(report[1], &number, sizeof number) < 0 && errno == EINTR) {}
    _exit(127);
  }
  int number = child < 0 ? errno : 0;
  close(report[1]);
  if (child > 0) {
    ssize_t count;
    do count = read(report[0], &number, sizeof number);
    while (count < 0 && errno == EINTR);
    if (count == sizeof number) {
      while (waitpid(child, 0, 0) < 0 && errno == EINTR) {}
      child = -1;
    } else {
      number = 0;
    }
  }
  close(report[0]);
  errno = number;
  return child;
}
/// Waits at most so many milliseconds for the end of a child and reaps it. Returns its exit status, 128 + the signal that
/// ended it, -1 while it runs, or -2 when there is no such child.
static inline int casync_await_child(pid_t child, int milliseconds) {
  int process = pidfd_open(child, 0);
  if (process >= 0) {
    struct pollfd request = {process, POLLIN, 0};
    while (poll(&request, 1, milliseconds) < 0 && errno == EINTR) {}
    close(process);
  }
  int status;
  pid_t result;
  do result = waitpid(child, &status, WNOHANG);
  while (result < 0 && errno == EINTR);
  if (result == 0) return -1;
  if (result < 0) return -2;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
/// Our end of a socket pair, which does not block, and the other end.
static inline int casync_channel(int ends[2]) {
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0) return -1;
  return fcntl(ends[0], F_SETFL, O_NONBLOCK);
}
/// The end of a pipe to read from, which does not block, and the one to write to.
static inline int casync_channel_of_errors(int ends[2]) {
  if (pipe2(ends, O_CLOEXEC) < 0) return -1;
  return fcntl(ends[0], F_SETFL, O_NONBLOCK);
}
static inline int casync_end_sending(int fd) { return shutdown(fd, SHUT_WR); }
static inline int casync_end_channel(int fd) { return shutdown(fd, SHUT_RDWR); }
