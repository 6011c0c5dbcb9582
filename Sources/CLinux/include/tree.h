// What file systems keep of files beyond `stat`, for directory trees.
#pragma once

#include <fnmatch.h>
#include <grp.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <linux/msdos_fs.h>
#include <pwd.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/xattr.h>

/// FS_*_FL of a file or directory.
static inline int casync_get_attributes(int fd, uint32_t *flags) {
  int value = 0;
  int result = ioctl(fd, FS_IOC_GETFLAGS, &value);
  *flags = (uint32_t)value;
  return result;
}
static inline int casync_set_attributes(int fd, uint32_t flags) {
  int value = (int)flags;
  return ioctl(fd, FS_IOC_SETFLAGS, &value);
}
/// Quota project of a file or directory.
static inline int casync_get_project(int fd, uint32_t *project) {
  struct fsxattr attributes;
  int result = ioctl(fd, FS_IOC_FSGETXATTR, &attributes);
  *project = result == 0 ? attributes.fsx_projid : 0;
  return result;
}
static inline int casync_set_project(int fd, uint32_t project) {
  struct fsxattr attributes;
  if (ioctl(fd, FS_IOC_FSGETXATTR, &attributes) != 0) return -1;
  if (attributes.fsx_projid == project) return 0;
  attributes.fsx_projid = project;
  return ioctl(fd, FS_IOC_FSSETXATTR, &attributes);
}
static inline int casync_get_fat_attributes(int fd, uint32_t *attributes) {
  return ioctl(fd, FAT_IOCTL_GET_ATTRIBUTES, attributes);
}
static inline int casync_set_fat_attributes(int fd, uint32_t attributes) {
  return ioctl(fd, FAT_IOCTL_SET_ATTRIBUTES, &attributes);
}
static inline int casync_get_subvolume_flags(int fd, uint64_t *flags) {
  return ioctl(fd, BTRFS_IOC_SUBVOL_GETFLAGS, flags);
}
static inline int casync_set_subvolume_flags(int fd, uint64_t flags) {
  return ioctl(fd, BTRFS_IOC_SUBVOL_SETFLAGS, &flags);
}
/// Makes a subvolume of this name in a directory of a btrfs.
static inline int casync_make_subvolume(int dir, const char *name) {
  struct btrfs_ioctl_vol_args arguments = {0};
  size_t length = strlen(name);
  if (length > BTRFS_PATH_NAME_MAX) return errno = ENAMETOOLONG, -1;
  memcpy(arguments.name, name, length);
  return ioctl(dir, BTRFS_IOC_SUBVOL_CREATE, &arguments);
}
/// Lets `length` bytes of `to` share the blocks of `from`; `done` is how many are the same, 0 when they differ.
static inline int casync_share(int from, uint64_t from_offset, uint64_t length, int to, uint64_t to_offset,
                               uint64_t *done) {
  union {
    struct file_dedupe_range range;
    char room[sizeof(struct file_dedupe_range) + sizeof(struct file_dedupe_range_info)];
  } request = {.range = {.src_offset = from_offset, .src_length = length, .dest_count = 1}};
  struct file_dedupe_range_info *info = request.range.info;
  info->dest_fd = to;
  info->dest_offset = to_offset;
  info->reserved = 0;
  *done = 0;
  if (ioctl(from, FIDEDUPERANGE, &request) != 0) return -1;
  if (info->status < 0) return errno = -info->status, -1;
  if (info->status == FILE_DEDUPE_RANGE_SAME) *done = info->bytes_deduped;
  return 0;
}
/// The magic number of the file system that holds the file.
static inline int casync_file_system_magic(int fd, uint64_t *magic) {
  struct statfs status;
  int result = fstatfs(fd, &status);
  *magic = result == 0 ? (uint32_t)status.f_type : 0;
  return result;
}
/// Which mount the file was opened on.
static inline int casync_mount_id(int fd, uint64_t *id) {
  struct statx status;
  int result = statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &status);
  *id = result == 0 ? status.stx_mnt_id : 0;
  return result;
}
