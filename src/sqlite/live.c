/*
** SQLite and the few lines that FFI cannot do well. Compiled as one unit: sqlite3.c is included, so
** the static functions of its unix VFS can be called by name.
**
**   live_worker()  lets one connection upgrade this process's shared checkpoint lock in place and put
**                  it back, so that the lock is never free, not even for the time of a checkpoint.
**   live_listener(), live_fs_type(), live_inode(), live_moved(), live_place_*(), live_changed(),
**   live_trim(), live_watchdog()
**                  what Deno does not offer of the system.
**   live_watch_*() waits for commits: watch.c.
**   live_way*()    gives way to other programs: priority.c.
**   live_hash*()   xxh64: hash.c.
**   live_*         flat wrappers of the io methods of a sqlite3_file: no vtables by offset in TypeScript.
*/
#include "sqlite3.c"
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/vfs.h>

#define LIVE_API __attribute__((visibility("default")))
#define LIVE_WRITE 0   /* WAL_WRITE_LOCK */
#define LIVE_CKPT 1    /* WAL_CKPT_LOCK */
#define LIVE_RECOVER 2 /* WAL_RECOVER_LOCK */

LIVE_API int live_shm_owner(sqlite3_file *f, int slot);
static __thread int livePassive = 0; /* in a passive checkpoint */

/*
** A passive checkpoint that reads the wal-index header while a writer publishes it wants the write lock,
** to look again: the writer would find it taken when it begins anew. So it has to come again instead,
** unless the header stays broken without a writer: one has died in it.
*/
static int liveHeaderBroken(sqlite3_file *fd){
  unixShmNode *shm = ((unixFile*)fd)->pShm ? ((unixFile*)fd)->pShm->pShmNode : 0;
  const char *head = shm && shm->nRegion>0 ? (const char*)shm->apRegion[0] : 0;
  if( head==0 ) return 1;
  return live_shm_owner(fd, LIVE_WRITE)==0
      && memcmp(head, head+sizeof(WalIndexHdr), sizeof(WalIndexHdr))!=0;
}

/*
** xShmLock of the worker. The control connection of this process holds CKPT shared for good: a POSIX
** lock belongs to the process, and F_SETLK converts it atomically, so "lock" upgrades what is held
** and "unlock" downgrades it. Recovery asks for CKPT and RECOVER in one call (n==2).
*/
static int liveShmLock(sqlite3_file *fd, int ofst, int n, int flags){
  unixFile *p = (unixFile*)fd;
  int rc, lock = flags & SQLITE_SHM_LOCK;
  if( ofst==LIVE_WRITE && lock && livePassive && !liveHeaderBroken(fd) ) return SQLITE_BUSY;
  if( ofst!=LIVE_CKPT ) return unixShmLock(fd, ofst, n, flags);
  if( p->pShm==0 ) return SQLITE_IOERR_SHMLOCK;
  sqlite3_mutex_enter(p->pShm->pShmNode->pShmMutex);
  rc = unixShmSystemLock(p, lock ? F_WRLCK : F_RDLCK, UNIX_SHM_BASE+LIVE_CKPT, 1);
  sqlite3_mutex_leave(p->pShm->pShmNode->pShmMutex);
  if( n==1 || rc ) return rc;
  rc = unixShmLock(fd, LIVE_RECOVER, n-1, flags);
  if( rc && lock ) liveShmLock(fd, LIVE_CKPT, 1, SQLITE_SHM_UNLOCK|SQLITE_SHM_EXCLUSIVE);
  return rc;
}

/* Makes db the worker. The control connection must hold CKPT shared for as long as db is open. */
LIVE_API int live_worker(sqlite3 *db){
  static sqlite3_io_methods methods; /* a copy of the unix VFS's, made once for all workers */
  static int ready = 0;
  sqlite3_file *f = 0;
  int rc = sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &f);
  if( rc ) return rc;
  if( f==0 || f->pMethods==0 || f->pMethods->iVersion<2 ) return SQLITE_MISUSE;
  if( f->pMethods->xShmLock!=(ready ? liveShmLock : unixShmLock) && f->pMethods->xShmLock!=unixShmLock ){
    return SQLITE_MISUSE;
  }
  if( !ready ){
    methods = *f->pMethods;
    methods.xShmLock = liveShmLock;
    ready = 1;
  }
  f->pMethods = &methods;
  return SQLITE_OK;
}

LIVE_API int live_checkpoint(sqlite3 *db, int mode, int *log, int *done){
  int rc;
  livePassive = mode==SQLITE_CHECKPOINT_PASSIVE;
  rc = sqlite3_wal_checkpoint_v2(db, "main", mode, log, done);
  livePassive = 0;
  return rc;
}

/* The file behind "main" (wal==0) or its WAL (wal==1); 0 if there is none. */
LIVE_API sqlite3_file *live_file(sqlite3 *db, int wal){
  sqlite3_file *f = 0;
  int op = wal ? SQLITE_FCNTL_JOURNAL_POINTER : SQLITE_FCNTL_FILE_POINTER;
  if( sqlite3_file_control(db, "main", op, &f) ) return 0;
  return f && f->pMethods ? f : 0;
}

/*
** Nonzero if SQLite has opened the database, its WAL or the wal-index read-only, as it does when it
** cannot open it for writing: also after a single I/O error, and then for good.
*/
LIVE_API int live_read_only(sqlite3 *db){
  Pager *p = sqlite3BtreePager(db->aDb[0].pBt);
  return p->readOnly || (p->pWal && p->pWal->readOnly);
}

LIVE_API int live_read(sqlite3_file *f, void *p, int n, sqlite3_int64 at){
  return f->pMethods->xRead(f, p, n, at);
}
LIVE_API int live_write(sqlite3_file *f, const void *p, int n, sqlite3_int64 at){
  return f->pMethods->xWrite(f, p, n, at);
}
LIVE_API int live_sync(sqlite3_file *f){ return f->pMethods->xSync(f, SQLITE_SYNC_NORMAL); }
LIVE_API int live_size(sqlite3_file *f, sqlite3_int64 *size){ return f->pMethods->xFileSize(f, size); }
LIVE_API int live_shm_map(sqlite3_file *f, int region, int extend, void **p){
  return f->pMethods->xShmMap(f, region, 32768, extend, (void volatile**)p);
}
LIVE_API int live_shm_lock(sqlite3_file *f, int slot, int n, int flags){
  return f->pMethods->xShmLock(f, slot, n, flags);
}
/*
** PID of another process that holds this slot exclusively; 0 if none does, or -1 if it has no PID here.
** By the descriptor that SQLite has: closing one of our own would drop all locks of this process.
*/
LIVE_API int live_shm_owner(sqlite3_file *f, int slot){
  unixFile *p = (unixFile*)f;
  struct flock lock;
  if( p->pShm==0 || p->pShm->pShmNode->hShm<0 ) return 0;
  memset(&lock, 0, sizeof(lock));
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = UNIX_SHM_BASE+slot;
  lock.l_len = 1;
  if( osFcntl(p->pShm->pShmNode->hShm, F_GETLK, &lock) || lock.l_type==F_UNLCK ) return 0;
  return lock.l_pid>0 ? (int)lock.l_pid : -1;
}
LIVE_API void live_shm_barrier(sqlite3_file *f){ f->pMethods->xShmBarrier(f); }

/* sqlite3_db_config is variadic, which FFI cannot call on every platform. */
LIVE_API int live_db_config(sqlite3 *db, int op, int value){
  return sqlite3_db_config(db, op, value, (int*)0);
}

/* Whether fd is a TCP socket that listens on port. Opens nothing. */
LIVE_API int live_listens(int fd, int port){
  struct sockaddr_storage a;
  socklen_t n = sizeof(int);
  int on = 0, at = 0;
  if( getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &n) || !on ) return 0;
  n = sizeof(a);
  if( getsockname(fd, (struct sockaddr*)&a, &n) ) return 0;
  if( a.ss_family==AF_INET ) at = ntohs(((struct sockaddr_in*)&a)->sin_port);
  if( a.ss_family==AF_INET6 ) at = ntohs(((struct sockaddr_in6*)&a)->sin6_port);
  return at==port;
}

/*
** This process's socket that listens on TCP port, -1 if there is none. Nagle's algorithm is off from
** then on: what a listening socket has, its connections inherit (Linux).
*/
LIVE_API int live_listener(int port){
  struct rlimit r;
  int fd, on = 1;
  int n = getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur>(1<<20) ? 1<<20 : (int)r.rlim_cur;
  for(fd=0; fd<n && !live_listens(fd, port); fd++){}
  if( fd==n ) return -1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return fd;
}

/* statfs's f_type of the file system that holds path; -1 if it cannot be asked. */
LIVE_API sqlite3_int64 live_fs_type(const char *path){
  struct statfs s;
  return statfs(path, &s) ? -1 : (sqlite3_int64)(unsigned)s.f_type;
}

/* The inode that path names, 0 if there is none. */
LIVE_API sqlite3_int64 live_inode(const char *path){
  struct stat s;
  return stat(path, &s) ? 0 : (sqlite3_int64)s.st_ino;
}

/*
** True if the path of the database, or `wal`, now names another file than the one that `f` is, or than
** `inode`; also if there is none.
*/
LIVE_API int live_moved(sqlite3_file *f, const char *wal, sqlite3_int64 inode){
  int moved = 1;
  f->pMethods->xFileControl(f, SQLITE_FCNTL_HAS_MOVED, &moved);
  return moved || live_inode(wal)!=inode;
}

static sqlite3_int64 liveCtime(const struct stat *s){
  return (sqlite3_int64)s->st_ctim.tv_sec*1000000000 + s->st_ctim.tv_nsec;
}

/*
** Whether many databases are still where they were opened, each second: one call for all of them. Their
** paths are looked at only where what is open has another ctime than at the last such look (to rename
** or to remove a file changes it), and now and then. Each look is at LIVE_PLACES of them, in turns, or at a
** quarter where that is more. One thread.
*/
#define LIVE_PLACES 64
#define LIVE_LOOKS 4 /* without the paths: a folder further up may have been moved, which no file shows */

typedef struct LivePlace {
  sqlite3_file *f, *log;     /* 0: free */
  char *wal;                 /* path */
  sqlite3_int64 inode;       /* of the -wal */
  sqlite3_int64 ctimes[2];   /* of both, at the last look at the paths */
  int looks;                 /* since then */
  int moved;                 /* at the last one */
} LivePlace;

static LivePlace *livePlaces = 0;
static int livePlaceCount = 0, livePlaceNext = 0;

/* Returns its number, -1 without memory. Both files must stay open until live_place_remove(). */
LIVE_API int live_place_add(
  sqlite3_file *f, sqlite3_file *log, const char *wal, sqlite3_int64 inode
){
  LivePlace *p;
  int i;
  for(i=0; i<livePlaceCount && livePlaces[i].f; i++){}
  if( i==livePlaceCount ){
    p = realloc(livePlaces, (i+1)*sizeof(*p));
    if( p==0 ) return -1;
    livePlaces = p;
    livePlaceCount++;
  }
  p = &livePlaces[i];
  memset(p, 0, sizeof(*p));
  p->wal = strdup(wal);
  if( p->wal==0 ) return -1;
  p->f = f;
  p->log = log;
  p->inode = inode;
  return i;
}

LIVE_API void live_place_remove(int id){
  free(livePlaces[id].wal);
  livePlaces[id].f = 0;
  livePlaces[id].moved = 0;
}

static int livePlaceMoved(LivePlace *p){
  struct stat a, b;
  int known = fstat(((unixFile*)p->f)->h, &a)==0 && fstat(((unixFile*)p->log)->h, &b)==0;
  if( known && liveCtime(&a)==p->ctimes[0] && liveCtime(&b)==p->ctimes[1] && p->looks<LIVE_LOOKS ){
    p->looks++;
    return 0;
  }
  if( live_moved(p->f, p->wal, p->inode) ) return 1;
  if( known ){
    p->ctimes[0] = liveCtime(&a);
    p->ctimes[1] = liveCtime(&b);
    p->looks = 0;
  }
  return 0;
}

/* Writes the numbers of at most `most` that were elsewhere when looked at into `out`; returns how many. */
LIVE_API int live_place_look(int *out, int most){
  int i, n = 0, looks = livePlaceCount/4>LIVE_PLACES ? livePlaceCount/4 : LIVE_PLACES;
  if( looks>livePlaceCount ) looks = livePlaceCount;
  for(i=0; i<looks; i++){
    LivePlace *p = &livePlaces[livePlaceNext];
    livePlaceNext = (livePlaceNext+1) % livePlaceCount;
    p->moved = p->f && livePlaceMoved(p);
  }
  for(i=0; i<livePlaceCount && n<most; i++) if( livePlaces[i].moved ) out[n++] = i;
  return n;
}

/* When the file was last changed in any way (ctime), ns since 1970; 0 if there is none. */
LIVE_API sqlite3_int64 live_changed(const char *path){
  struct stat s;
  return stat(path, &s) ? 0 : liveCtime(&s);
}

/* Gives memory that is free, but between some that is not, back to the system. Some milliseconds. */
LIVE_API void live_trim(void){
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

/*
** The watchdog: a thread that counts seconds and ends the process when nobody has reset the count for
** too long. It counts its own wake-ups, so time in which the whole process was stopped is no hang.
*/
static volatile int liveWatchdogLimit = 0, liveWatchdogCount = 0;

static void *liveWatchdog(void *unused){
  static const char msg[] = "litestream-live: the event loop hangs; ending the process, "
                            "so that the application can checkpoint\n";
  for(;;){
    sleep(1);
    if( liveWatchdogLimit>0 && ++liveWatchdogCount>liveWatchdogLimit ){
      if( write(2, msg, sizeof(msg)-1)<0 ){ /* nobody to tell */ }
      _exit(70);
    }
  }
  return unused;
}

/* Ends the process unless called again within that many seconds; 0 stops watching. */
LIVE_API int live_watchdog(int seconds){
  static int started = 0;
  pthread_t thread;
  liveWatchdogCount = 0;
  liveWatchdogLimit = seconds;
  if( started || seconds<=0 ) return 0;
  started = 1;
  return pthread_create(&thread, 0, liveWatchdog, 0);
}

#include "watch.c"
#include "priority.c"
#include "hash.c"
