/*
** A shim between a program and the C library (LD_PRELOAD), for tests/integration/power_loss and
** io_error: it writes down, in order, what changes the files below one directory, and makes calls on
** some of them fail. Built by tests/support/shim.ts:  cc -O1 -shared -fPIC -o shim.so shim.c -ldl
**
**   SHIM_ROOT     directory (real path) whose files are watched; without it the shim does nothing
**   SHIM_RECORD   file that records are appended to, of any number of processes
**   SHIM_RULES    file of rules which calls fail, mapped into memory: tests change it while it runs
**   SHIM_BOOT_ID  file that is opened instead of /proc/sys/kernel/random/boot_id
**   SHIM_SYNC_US  fsync takes this long and does nothing else; without it it is a real one
**
** A record is appended by one write with O_APPEND after the call (of an fsync: before and after) and
** before the call returns. So whatever the program knows to have happened before a call stands before
** it in the record, across threads and processes, without a lock that a kill could leave behind.
**
** Files are known by inode, found by fstat at each call: dup and fcntl need no care. What is not seen:
** memory maps (the -shm: lost in a power cut anyhow), direct system calls, io_uring. shim_disk.py
** compares the replayed record with the real files, so a program that uses these is found out.
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define MAGIC 0x4d494853u /* "SHIM" */
#define RULES 512
#define INODES 65536 /* `<db>-live/position` is a new one each time */
#define PATH_MOST 224

/* Operations of records; shim_disk.py knows them by the same numbers. */
enum { CREATE = 1, WRITE, TRUNCATE, SYNC_BEGIN, SYNC_END, LINK, UNLINK, MKDIR, RMDIR, RENAME, ODD = 99 };

/* Calls that a rule is about; shim.ts knows them by the same numbers. */
enum { ON_OPEN = 1, ON_WRITE, ON_SYNC, ON_TRUNCATE, ON_LINK, ON_UNLINK, ON_MKDIR, ON_READ };

typedef struct Record {
  uint32_t magic, op, pid, tid;
  uint64_t inode;
  int64_t offset;
  uint32_t data, path, path2, zero; /* lengths of what follows */
} Record;

/* Instead of an errno: the process ends before the call, as by kill -9. */
#define DIE 4096u
/* Of a rule's error: the call does not return before the rule has ended. */
#define HANGS 0xffffu

/* The calls from..to (1-based) on the file fail. error 0: a write does half of its work. */
typedef struct Rule {
  char path[PATH_MOST];
  uint32_t on, error, from, to, seen, fired, zero[2];
} Rule;

static char root[4096];
static size_t rootLength;
static int recordFd = -1;
static long syncUs = -1;
static const char *bootId;
static Rule *rules;
static int ready;

static struct { uint64_t inode; char *path; } inodes[INODES];
static int lockWord;


static void enter(void){ while( __atomic_exchange_n(&lockWord, 1, __ATOMIC_ACQUIRE) ) usleep(1); }
static void leave(void){ __atomic_store_n(&lockWord, 0, __ATOMIC_RELEASE); }

static int rawOpen(const char *path, int flags, int mode){
  return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, mode);
}

__attribute__((constructor)) static void start(void){
  const char *value;
  int fd;
  if( ready ) return;
  ready = 1;
  if( (value = getenv("SHIM_ROOT"))!=0 ){
    snprintf(root, sizeof(root), "%s", value);
    rootLength = strlen(root);
  }
  if( (value = getenv("SHIM_SYNC_US"))!=0 ) syncUs = atol(value);
  bootId = getenv("SHIM_BOOT_ID");
  if( (value = getenv("SHIM_RECORD"))!=0 ){
    fd = rawOpen(value, O_WRONLY | O_APPEND | O_CREAT, 0644);
    if( fd<0 || (recordFd = fcntl(fd, F_DUPFD_CLOEXEC, 900))<0 ) abort();
    syscall(SYS_close, fd);
  }
  if( (value = getenv("SHIM_RULES"))!=0 ){
    fd = rawOpen(value, O_RDWR, 0);
    if( fd<0 ) abort();
    rules = mmap(0, RULES*sizeof(Rule), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if( rules==MAP_FAILED ) abort();
    syscall(SYS_close, fd);
  }
}

static int below(const char *path){
  return rootLength>0 && strncmp(path, root, rootLength)==0 && (path[rootLength]=='/' || path[rootLength]==0);
}

/* ---- Which inode is which path ---- */

static void learn(uint64_t inode, const char *path){
  unsigned at = (unsigned)(inode % INODES), tries;
  enter();
  for(tries=0; inodes[at].inode!=0 && inodes[at].inode!=inode; tries++){
    if( tries>=INODES ) abort();
    at = (at+1) % INODES;
  }
  if( inodes[at].path==0 || strcmp(inodes[at].path, path)!=0 ) inodes[at].path = strdup(path); /* an old one leaks */
  inodes[at].inode = inode;
  leave();
}

static const char *known(uint64_t inode){
  unsigned at = (unsigned)(inode % INODES);
  const char *path = 0;
  enter();
  for(; inodes[at].inode!=0; at = (at+1) % INODES){
    if( inodes[at].inode==inode ){ path = inodes[at].path; break; }
  }
  leave();
  return path && path[0] ? path : 0;
}

/* The watched path behind a descriptor, or 0. */
static const char *watched(int fd, uint64_t *inode){
  struct stat info;
  if( !ready || rootLength==0 || fstat(fd, &info)!=0 ) return 0;
  if( !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode) ) return 0;
  *inode = info.st_ino;
  return known(info.st_ino);
}

/* ---- Records ---- */

static void record(uint32_t op, uint64_t inode, int64_t offset, const void *data, size_t size, const char *path, const char *path2){
  Record head;
  struct iovec parts[4];
  int saved = errno;
  if( recordFd<0 ) return;
  memset(&head, 0, sizeof(head));
  head.magic = MAGIC;
  head.op = op;
  head.pid = (uint32_t)getpid();
  head.tid = (uint32_t)syscall(SYS_gettid);
  head.inode = inode;
  head.offset = offset;
  head.data = (uint32_t)size;
  head.path = path ? (uint32_t)strlen(path) : 0;
  head.path2 = path2 ? (uint32_t)strlen(path2) : 0;
  parts[0] = (struct iovec){ &head, sizeof(head) };
  parts[1] = (struct iovec){ (void*)path, head.path };
  parts[2] = (struct iovec){ (void*)path2, head.path2 };
  parts[3] = (struct iovec){ (void*)data, size };
  if( syscall(SYS_writev, recordFd, parts, 4)!=(long)(sizeof(head)+head.path+head.path2+size) ) abort();
  errno = saved;
}

/* ---- Faults ---- */

/* 0: go on; else the errno to fail with, or -1: do half. */
static int fault(uint32_t on, const char *path){
  int i, result = 0;
  uint32_t seen;
  if( !rules || !path ) return 0;
  for(i=0; i<RULES && rules[i].on!=0; i++){
    Rule *p = &rules[i];
    if( p->on!=on || strcmp(p->path, path)!=0 ) continue;
    seen = __atomic_add_fetch(&p->seen, 1, __ATOMIC_SEQ_CST);
    if( seen<p->from || seen>p->to ) continue;
    __atomic_add_fetch(&p->fired, 1, __ATOMIC_SEQ_CST);
    if( p->error==DIE ) kill(getpid(), SIGKILL);
    if( p->error==HANGS ){
      while( *(volatile uint32_t*)&p->to>=seen ) usleep(5000); /* until the rule ends; then all is well */
      continue;
    }
    result = p->error==0 ? -1 : (int)p->error;
  }
  return result;
}

static int failing(uint32_t on, const char *path){
  int error = fault(on, path);
  if( error<=0 ) return 0;
  errno = error;
  return 1;
}

/* An absolute path without links of its own, as the records have it. */
static const char *full(int dir, const char *path, char *into, size_t size){
  char base[64], folder[4096], real[4096];
  const char *name;
  ssize_t length;
  if( path[0]!='/' ){
    if( dir==AT_FDCWD ){
      if( !getcwd(folder, sizeof(folder)) ) return 0;
    }else{
      snprintf(base, sizeof(base), "/proc/self/fd/%d", dir);
      length = readlink(base, folder, sizeof(folder)-1);
      if( length<0 ) return 0;
      folder[length] = 0;
    }
    snprintf(into, size, "%s/%s", folder, path);
  }else snprintf(into, size, "%s", path);
  if( !rootLength || (below(into) && !strstr(into, "/.")) ) return into; /* quick: opens are many */
  name = strrchr(into, '/');
  if( name==0 || name==into ) return into;
  snprintf(folder, sizeof(folder), "%.*s", (int)(name-into), into);
  if( !realpath(folder, real) ) return into;
  snprintf(base, sizeof(base), "%s", name+1);
  snprintf(into, size, "%s/%s", real, base);
  return into;
}

static uint64_t inodeOf(const char *path){
  struct stat info;
  return lstat(path, &info)==0 ? info.st_ino : 0;
}

/* ---- open ---- */

static int openAny(int dir, const char *path, int flags, int mode){
  char name[4096];
  struct stat info;
  int fd, existed = 1;
  start();
  if( bootId && strcmp(path, "/proc/sys/kernel/random/boot_id")==0 ) path = bootId;
  if( !full(dir, path, name, sizeof(name)) || !below(name) ){
    return (int)syscall(SYS_openat, dir, path, flags, mode);
  }
  if( failing(ON_OPEN, name) ) return -1;
  if( flags & O_CREAT ) existed = inodeOf(name)!=0;
  fd = (int)syscall(SYS_openat, dir, path, flags, mode);
  if( fd<0 || fstat(fd, &info)!=0 ) return fd;
  if( (flags & O_TMPFILE)==O_TMPFILE ) record(ODD, info.st_ino, 0, 0, 0, name, "O_TMPFILE");
  learn(info.st_ino, name);
  if( !existed ) record(CREATE, info.st_ino, 0, 0, 0, name, 0);
  else if( flags & O_TRUNC ) record(TRUNCATE, info.st_ino, 0, 0, 0, name, 0);
  return fd;
}

#define MODE(flags) \
  int mode = 0; \
  if( ((flags) & O_CREAT) || ((flags) & O_TMPFILE)==O_TMPFILE ){ \
    va_list more; va_start(more, flags); mode = va_arg(more, int); va_end(more); }

int open(const char *path, int flags, ...){ MODE(flags); return openAny(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...){ MODE(flags); return openAny(AT_FDCWD, path, flags, mode); }
int openat(int dir, const char *path, int flags, ...){ MODE(flags); return openAny(dir, path, flags, mode); }
int openat64(int dir, const char *path, int flags, ...){ MODE(flags); return openAny(dir, path, flags, mode); }
int creat(const char *path, mode_t mode){ return openAny(AT_FDCWD, path, O_CREAT|O_WRONLY|O_TRUNC, (int)mode); }
int creat64(const char *path, mode_t mode){ return openAny(AT_FDCWD, path, O_CREAT|O_WRONLY|O_TRUNC, (int)mode); }

/* ---- read and write ---- */

ssize_t read(int fd, void *buffer, size_t size){
  uint64_t inode;
  if( rules && failing(ON_READ, watched(fd, &inode)) ) return -1;
  return syscall(SYS_read, fd, buffer, size);
}
static ssize_t readAt(int fd, void *buffer, size_t size, off_t at){
  uint64_t inode;
  if( rules && failing(ON_READ, watched(fd, &inode)) ) return -1;
  return syscall(SYS_pread64, fd, buffer, size, at);
}
ssize_t pread(int fd, void *buffer, size_t size, off_t at){ return readAt(fd, buffer, size, at); }
ssize_t pread64(int fd, void *buffer, size_t size, off64_t at){ return readAt(fd, buffer, size, at); }

/* at<0: where the descriptor stands */
static ssize_t writeAny(int fd, const void *data, size_t size, off_t at){
  uint64_t inode = 0;
  const char *path = watched(fd, &inode);
  int error = fault(ON_WRITE, path);
  ssize_t wrote;
  if( error>0 || (error<0 && size<2) ){
    errno = error>0 ? error : ENOSPC;
    return -1;
  }
  if( error<0 ) size /= 2;
  wrote = at<0 ? syscall(SYS_write, fd, data, size) : syscall(SYS_pwrite64, fd, data, size, at);
  if( wrote>0 && path ){
    if( at<0 ) at = lseek(fd, 0, SEEK_CUR)-wrote;
    record(WRITE, inode, at, data, (size_t)wrote, path, 0);
  }
  return wrote;
}
ssize_t write(int fd, const void *data, size_t size){ return writeAny(fd, data, size, -1); }
ssize_t pwrite(int fd, const void *data, size_t size, off_t at){ return writeAny(fd, data, size, at); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at){ return writeAny(fd, data, size, at); }

/* Of watched files only the first part is written: callers have to go on by themselves anyhow. */
ssize_t writev(int fd, const struct iovec *parts, int count){
  uint64_t inode;
  int i;
  if( !watched(fd, &inode) ) return syscall(SYS_writev, fd, parts, count);
  for(i=0; i<count && parts[i].iov_len==0; i++){}
  return i<count ? writeAny(fd, parts[i].iov_base, parts[i].iov_len, -1) : 0;
}
static ssize_t writevAt(int fd, const struct iovec *parts, int count, off_t at){
  int i;
  for(i=0; i<count && parts[i].iov_len==0; i++){}
  return i<count ? writeAny(fd, parts[i].iov_base, parts[i].iov_len, at) : 0;
}
ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at){ return writevAt(fd, parts, count, at); }
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t at){ return writevAt(fd, parts, count, at); }

ssize_t copy_file_range(int from, off64_t *fromAt, int to, off64_t *toAt, size_t size, unsigned flags){
  uint64_t inode = 0;
  const char *path = watched(to, &inode);
  if( path ){ errno = ENOSYS; return -1; } /* callers fall back to read and write */
  return syscall(SYS_copy_file_range, from, fromAt, to, toAt, size, flags);
}
static ssize_t sendAny(int to, int from, off_t *at, size_t size){
  uint64_t inode = 0;
  if( watched(to, &inode) ){ errno = EINVAL; return -1; }
  return syscall(SYS_sendfile, to, from, at, size);
}
ssize_t sendfile(int to, int from, off_t *at, size_t size){ return sendAny(to, from, at, size); }
ssize_t sendfile64(int to, int from, off64_t *at, size_t size){ return sendAny(to, from, at, size); }

/* ---- size ---- */

static int truncateAny(int fd, off_t size){
  uint64_t inode = 0;
  const char *path = watched(fd, &inode);
  int rc;
  if( failing(ON_TRUNCATE, path) ) return -1;
  rc = (int)syscall(SYS_ftruncate, fd, size);
  if( rc==0 && path ) record(TRUNCATE, inode, size, 0, 0, path, 0);
  return rc;
}
int ftruncate(int fd, off_t size){ return truncateAny(fd, size); }
int ftruncate64(int fd, off64_t size){ return truncateAny(fd, size); }

static int truncatePath(const char *path, off_t size){
  char name[4096];
  int rc;
  if( !full(AT_FDCWD, path, name, sizeof(name)) || !below(name) ) return (int)syscall(SYS_truncate, path, size);
  if( failing(ON_TRUNCATE, name) ) return -1;
  rc = (int)syscall(SYS_truncate, path, size);
  if( rc==0 ) record(TRUNCATE, inodeOf(name), size, 0, 0, name, 0);
  return rc;
}
int truncate(const char *path, off_t size){ return truncatePath(path, size); }
int truncate64(const char *path, off64_t size){ return truncatePath(path, size); }

/* Space is not modelled, only the size, which these may raise. */
static int allocateAny(int fd, int mode, off_t at, off_t size){
  uint64_t inode = 0;
  const char *path = watched(fd, &inode);
  struct stat info;
  if( failing(ON_TRUNCATE, path) ) return -1;
  if( syscall(SYS_fallocate, fd, mode, at, size)!=0 ) return -1;
  if( !path ) return 0;
  if( mode!=0 ) record(ODD, inode, 0, 0, 0, path, "fallocate");
  if( fstat(fd, &info)==0 ) record(TRUNCATE, inode, info.st_size, 0, 0, path, 0);
  return 0;
}
int fallocate(int fd, int mode, off_t at, off_t size){ return allocateAny(fd, mode, at, size); }
int fallocate64(int fd, int mode, off64_t at, off64_t size){ return allocateAny(fd, mode, at, size); }
int posix_fallocate(int fd, off_t at, off_t size){ return allocateAny(fd, 0, at, size)==0 ? 0 : errno; }
int posix_fallocate64(int fd, off64_t at, off64_t size){ return allocateAny(fd, 0, at, size)==0 ? 0 : errno; }

/* ---- fsync ---- */

static int syncAny(int fd, long call){
  uint64_t inode = 0;
  const char *path = watched(fd, &inode);
  int rc = 0;
  if( !path ) return (int)syscall(call, fd);
  if( failing(ON_SYNC, path) ) return -1;
  record(SYNC_BEGIN, inode, 0, 0, 0, path, 0);
  if( syncUs<0 ) rc = (int)syscall(call, fd);
  else if( syncUs>0 ) usleep((useconds_t)syncUs);
  if( rc==0 ) record(SYNC_END, inode, 0, 0, 0, path, 0);
  return rc;
}
int fsync(int fd){ return syncAny(fd, SYS_fsync); }
int fdatasync(int fd){ return syncAny(fd, SYS_fdatasync); }

/* ---- names ---- */

static int linkAny(int fromDir, const char *from, int toDir, const char *to, int flags){
  char name[4096], name2[4096];
  int rc, seen = full(fromDir, from, name, sizeof(name)) && full(toDir, to, name2, sizeof(name2)) && below(name2);
  if( seen && failing(ON_LINK, name2) ) return -1;
  rc = (int)syscall(SYS_linkat, fromDir, from, toDir, to, flags);
  if( rc==0 && seen ) record(LINK, inodeOf(name2), 0, 0, 0, name2, name);
  return rc;
}
int link(const char *from, const char *to){ return linkAny(AT_FDCWD, from, AT_FDCWD, to, 0); }
int linkat(int a, const char *from, int b, const char *to, int flags){ return linkAny(a, from, b, to, flags); }

static int unlinkAny(int dir, const char *path, int flags){
  char name[4096];
  int rc, seen = full(dir, path, name, sizeof(name)) && below(name);
  uint64_t inode = seen ? inodeOf(name) : 0;
  if( seen && failing(ON_UNLINK, name) ) return -1;
  rc = (int)syscall(SYS_unlinkat, dir, path, flags);
  if( rc==0 && seen ) record(flags & AT_REMOVEDIR ? RMDIR : UNLINK, inode, 0, 0, 0, name, 0);
  return rc;
}
int unlink(const char *path){ return unlinkAny(AT_FDCWD, path, 0); }
int unlinkat(int dir, const char *path, int flags){ return unlinkAny(dir, path, flags); }
int rmdir(const char *path){ return unlinkAny(AT_FDCWD, path, AT_REMOVEDIR); }
int remove(const char *path){
  int rc = unlinkAny(AT_FDCWD, path, 0);
  return rc!=0 && errno==EISDIR ? unlinkAny(AT_FDCWD, path, AT_REMOVEDIR) : rc;
}

static int mkdirAny(int dir, const char *path, mode_t mode){
  char name[4096];
  int rc, seen = full(dir, path, name, sizeof(name)) && below(name);
  if( seen && failing(ON_MKDIR, name) ) return -1;
  rc = (int)syscall(SYS_mkdirat, dir, path, mode);
  if( rc==0 && seen ) record(MKDIR, inodeOf(name), 0, 0, 0, name, 0);
  return rc;
}
int mkdir(const char *path, mode_t mode){ return mkdirAny(AT_FDCWD, path, mode); }
int mkdirat(int dir, const char *path, mode_t mode){ return mkdirAny(dir, path, mode); }

/*
** Renamed is only what a node keeps beside a database, in one `<db>-live/`. A rename over a database, its
** -wal or -shm loses it, one between folders is two operations on some disks: neither may happen.
*/
static int besideDatabase(const char *from, const char *to){
  const char *end = strrchr(from, '/'), *end2 = strrchr(to, '/');
  size_t length = end ? (size_t)(end-from) : 0;
  return end && end2 && length==(size_t)(end2-to) && strncmp(from, to, length)==0 &&
    length>5 && strncmp(end-5, "-live", 5)==0;
}

static int renameAny(int fromDir, const char *from, int toDir, const char *to, unsigned flags){
  char name[4096], name2[4096];
  struct stat info;
  int rc, known, seen = full(fromDir, from, name, sizeof(name)) && full(toDir, to, name2, sizeof(name2)) &&
    (below(name) || below(name2));
  if( seen && failing(ON_LINK, name2) ) return -1;
  rc = (int)syscall(SYS_renameat2, fromDir, from, toDir, to, flags);
  if( rc!=0 || !seen ) return rc;
  known = flags==0 && besideDatabase(name, name2) && lstat(name2, &info)==0 && S_ISREG(info.st_mode);
  if( known ) learn(info.st_ino, name2);
  record(known ? RENAME : ODD, inodeOf(name2), 0, 0, 0, known ? name : name2, known ? name2 : "rename");
  return rc;
}
int rename(const char *from, const char *to){ return renameAny(AT_FDCWD, from, AT_FDCWD, to, 0); }
int renameat(int a, const char *from, int b, const char *to){ return renameAny(a, from, b, to, 0); }
int renameat2(int a, const char *from, int b, const char *to, unsigned flags){ return renameAny(a, from, b, to, flags); }
