// What file systems keep of files beyond `stat`, for directory trees.
#pragma once

#include <fnmatch.h>
#include <grp.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <linux/msdos_fs.h>
#include <pwd.h>
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
