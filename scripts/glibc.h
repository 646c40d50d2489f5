/*
** Included before SQLite when the library is built, so that one built with a new glibc runs with an old
** one (2.27, which Deno itself needs). A new glibc gives functions that have not changed a new version,
** and the loader of an older one then refuses the library. Here they are asked for by the version that
** they have had since the architecture's first glibc. A test reads what the library needs.
*/
/* As sqlite3.c does before its first header. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif
#include <features.h>
#if defined(__GLIBC__) && __GLIBC_PREREQ(2, 28) && defined(__LP64__)

#if defined(__x86_64__)
#define LIVE_GLIBC "GLIBC_2.2.5"
#elif defined(__aarch64__)
#define LIVE_GLIBC "GLIBC_2.17"
#endif

#ifdef LIVE_GLIBC
#define LIVE_FIRST_VERSION(name, first) __asm__(".symver " #name "," #first "@" LIVE_GLIBC)

LIVE_FIRST_VERSION(fcntl64, fcntl); /* 2.28; the same function where long has 64 bits */

/* 2.34 moved libpthread into libc. */
LIVE_FIRST_VERSION(pthread_create, pthread_create);
LIVE_FIRST_VERSION(pthread_detach, pthread_detach);
LIVE_FIRST_VERSION(pthread_join, pthread_join);
LIVE_FIRST_VERSION(pthread_mutex_trylock, pthread_mutex_trylock);
LIVE_FIRST_VERSION(pthread_mutexattr_init, pthread_mutexattr_init);
LIVE_FIRST_VERSION(pthread_mutexattr_destroy, pthread_mutexattr_destroy);
LIVE_FIRST_VERSION(pthread_mutexattr_settype, pthread_mutexattr_settype);

#if __GLIBC_PREREQ(2, 33)
/*
** Functions since 2.33, inline before. The kernel's struct stat is glibc's on both architectures, and
** the header redirects stat() and so on to these names.
*/
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>
#define LIVE_LOCAL __attribute__((visibility("hidden")))
int live_stat64(const char *path, void *info) __asm__("stat64") LIVE_LOCAL;
int live_lstat64(const char *path, void *info) __asm__("lstat64") LIVE_LOCAL;
int live_fstat64(int fd, void *info) __asm__("fstat64") LIVE_LOCAL;
int live_stat64(const char *path, void *info){
  return (int)syscall(SYS_newfstatat, AT_FDCWD, path, info, 0);
}
int live_lstat64(const char *path, void *info){
  return (int)syscall(SYS_newfstatat, AT_FDCWD, path, info, 0x100 /* AT_SYMLINK_NOFOLLOW */);
}
int live_fstat64(int fd, void *info){
  return (int)syscall(SYS_fstat, fd, info);
}
#endif

#endif
#endif
