/*
** The waker's native half: one call that waits until some of many databases have a new commit. It is
** included by live.c, behind sqlite3.c.
**
** A writer appends to the -wal and then publishes the wal-index header. inotify tells of the first, so
** the second is awaited here, by reading the mapped header: a look of JavaScript then finds the commit
** at once, and is not made when there is none. Nothing is opened: the -wal is watched by its path, the
** header is SQLite's own mapping, and whether a writer is at work is asked by F_GETLK on SQLite's own
** descriptor, which takes nothing.
**
**   COLD  no writer is at work. Watched; the header is read now and then, in case an event was lost:
**         each second, or more often where a commit was found so that nothing told of.
**   HOT   the -wal was written: the header is read in growing steps until it changes, or until nobody
**         has the write lock any more.
**   BUSY  many commits or a large transaction. No watch, which each write would pay for: the header is
**         read each millisecond until it has been quiet for a while. A transaction that has written
**         another megabyte is told, too: JavaScript reads it before it is committed.
**
** The mutex is held while databases are looked at, never while waiting: once live_watch_remove() has
** returned, no thread reads that database's memory, and it may be unmapped.
*/
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/prctl.h>

#define WATCH_US 1000LL
#define WATCH_MS 1000000LL
#define WATCH_STEP (20*WATCH_US)   /* HOT: the shortest sleep; a spin was no better, and takes the
                                   ** processor that the writer may need */
#define WATCH_POLL (1*WATCH_MS)    /* BUSY */
#define WATCH_BUSY 20              /* commits in a window from which polling is cheaper */
#define WATCH_WINDOW (50*WATCH_MS) /* that window, and the quiet time after which polling ends */
#define WATCH_LONG (10*WATCH_MS)   /* a transaction that writes for so long is a large one */
#define WATCH_NET (1000*WATCH_MS)  /* COLD: in case an event was lost */
#define WATCH_UNTOLD (100*WATCH_MS) /* the same where one was; HOT: between two looks at most */
#define WATCH_BLIND (10*WATCH_MS)  /* COLD without a watch: the system has none left */
#define WATCH_RETRY (1000*WATCH_MS)
#define WATCH_AHEAD (1<<20)        /* bytes */
#define WATCH_HEAD 24              /* words: both copies of the header */
#define WATCH_NEVER 0xffffffff     /* the first word of what was not seen yet */

enum { WATCH_FREE, WATCH_COLD, WATCH_HOT, WATCH_IS_BUSY };

typedef struct LiveWatch {
  int state;
  int wd;                      /* inotify's number, -1 without a watch */
  int shm;                     /* SQLite's descriptor of the -shm */
  int log;                     /* and of the -wal, or -1 */
  u32 ahead;                   /* the last frame that was told before its commit, 0 if none */
  int found;                   /* commits in the window that began at windowStart */
  int untold;                  /* the last commit was found without an event: none may come here */
  char *wal;                   /* path */
  volatile const u32 *head;
  u32 seen[WATCH_HEAD];        /* as it was reported last */
  sqlite3_int64 began, since;  /* HOT: first event; the event that steps are counted from */
  sqlite3_int64 last;          /* last commit found, or BUSY began */
  sqlite3_int64 windowStart;
  sqlite3_int64 due;           /* when the header is read next */
} LiveWatch;

typedef struct LiveWatcher {
  pthread_mutex_t mutex;
  int inotify, wake;           /* descriptors; inotify is -1 if the system gives none */
  int stopped;
  int failed;                  /* errno of the last watch that could not be had; 0: all are there */
  int n;
  LiveWatch *a;
  sqlite3_int64 deafUntil;     /* events of writers that are known to be at work wake nobody until then */
} LiveWatcher;

static sqlite3_int64 watchNow(void){
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec*1000*WATCH_MS + t.tv_nsec;
}

/* The next multiple of `step`: databases that wait for the same share one wake-up. */
static sqlite3_int64 watchNext(sqlite3_int64 now, sqlite3_int64 step){ return (now/step + 1)*step; }

static void watchArm(LiveWatcher *w, LiveWatch *p){
  if( p->wd>=0 ) return;
  if( w->inotify<0 ) w->inotify = inotify_init1(IN_NONBLOCK|IN_CLOEXEC);
  if( w->inotify>=0 ) p->wd = inotify_add_watch(w->inotify, p->wal, IN_MODIFY);
  if( p->wd<0 && errno!=ENOENT ) w->failed = errno;
}

static void watchDisarm(LiveWatcher *w, LiveWatch *p){
  if( p->wd>=0 ) inotify_rm_watch(w->inotify, p->wd);
  p->wd = -1;
}

static void watchCold(LiveWatch *p, sqlite3_int64 now){
  p->state = WATCH_COLD;
  p->due = watchNext(now, p->wd<0 ? WATCH_BLIND : p->untold ? WATCH_UNTOLD : WATCH_NET);
}

static void watchBusy(LiveWatcher *w, LiveWatch *p, sqlite3_int64 now){
  watchDisarm(w, p);
  p->state = WATCH_IS_BUSY;
  p->last = now;
  p->due = watchNext(now, WATCH_POLL);
}

/* The -wal was written. Returns 1 if the next event should wake the thread, too. */
static int watchEvent(LiveWatcher *w, LiveWatch *p, sqlite3_int64 now){
  p->untold = 0;
  if( p->state==WATCH_HOT ){
    /* A transaction that spills: steps as long as a poll's, however often it writes. */
    if( now - p->began>WATCH_LONG ) watchBusy(w, p, now);
    else if( p->since<now - 4*WATCH_POLL ) p->since = now - 4*WATCH_POLL;
    return now - p->began<WATCH_MS;
  }
  if( p->state!=WATCH_COLD ) return 0;
  p->state = WATCH_HOT;
  p->began = p->since = p->due = now;
  return 1;
}

static void watchEvents(LiveWatcher *w, sqlite3_int64 now){
  union { struct inotify_event first; char bytes[4096]; } u;
  ssize_t size;
  int i, any = 0, news = 0;
  while( w->inotify>=0 && (size = read(w->inotify, &u, sizeof(u)))>0 ){
    char *at = u.bytes;
    any = 1;
    while( at<u.bytes+size ){
      const struct inotify_event *e = (const struct inotify_event*)at;
      at += sizeof(*e) + e->len;
      for(i=0; i<w->n; i++){
        LiveWatch *p = &w->a[i];
        if( e->wd!=p->wd && (e->mask & IN_Q_OVERFLOW)==0 ) continue;
        if( e->mask & IN_IGNORED ){ /* the file is gone; the node finds out by its inode */
          p->wd = -1;
          if( p->state==WATCH_COLD ) watchCold(p, now);
        }else{
          news += watchEvent(w, p, now);
        }
      }
    }
  }
  if( any && !news ) w->deafUntil = now + WATCH_POLL;
}

/* True while another process has the write lock, or if that cannot be asked. */
static int watchWriting(const LiveWatch *p){
  struct flock lock;
  memset(&lock, 0, sizeof(lock));
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = UNIX_SHM_BASE; /* WAL_WRITE_LOCK is slot 0 */
  lock.l_len = 1;
  return fcntl(p->shm, F_GETLK, &lock)!=0 || lock.l_type!=F_UNLCK;
}

/* True if a transaction that is not committed yet, after `h`, has written so much more. */
static int watchAhead(LiveWatch *p, const WalIndexHdr *h){
  u8 frame[WAL_FRAME_HDRSIZE], log[WAL_HDRSIZE];
  const u8 *salt = (const u8*)h->aSalt;
  u32 next, size = (h->szPage & 0xfe00) + ((h->szPage & 1)<<16);
  if( p->log<0 ) return 0;
  if( size==0 ){ /* the first transaction of an empty log: only the -wal knows */
    if( h->mxFrame || pread(p->log, log, sizeof(log), 0)!=sizeof(log) ) return 0;
    size = sqlite3Get4byte(&log[8]);
    salt = &log[16];
    if( size<512 || size>SQLITE_MAX_PAGE_SIZE ) return 0;
  }
  next = (p->ahead ? p->ahead : h->mxFrame) + (WATCH_AHEAD>size ? WATCH_AHEAD/size : 1);
  if( pread(p->log, frame, sizeof(frame), walFrameOffset(next, size))!=sizeof(frame)
   || memcmp(&frame[8], salt, sizeof(h->aSalt)) ) return 0;
  p->ahead = next;
  return 1;
}

/*
** A commit was found. While somebody has the write lock it may be the next writer, whose events were
** read together with those of this commit: then its header is awaited, too.
*/
static void watchFound(LiveWatcher *w, LiveWatch *p, sqlite3_int64 now, int writing){
  if( now - p->windowStart>WATCH_WINDOW ){
    p->windowStart = now;
    p->found = 0;
  }
  if( p->state==WATCH_IS_BUSY || ++p->found>=WATCH_BUSY ) watchBusy(w, p, now);
  else if( writing ){
    p->began = p->since = now;
    p->due = now + WATCH_STEP;
  }else watchCold(p, now);
}

/* Reads the header. Returns 1 if JavaScript should look. */
static int watchCheck(LiveWatcher *w, LiveWatch *p, sqlite3_int64 now){
  /* Asked before the header is read: a writer publishes before it lets go. */
  int i, writing = p->state==WATCH_HOT && watchWriting(p);
  u32 head[WATCH_HEAD];
  for(i=0; i<WATCH_HEAD; i++) head[i] = p->head[i];
  if( memcmp(head, p->seen, sizeof(head)) ){
    int whole = memcmp(head, head+WATCH_HEAD/2, sizeof(head)/2)==0;
    /* One that stays half written was left by a writer that died in it, which JavaScript cures. */
    if( whole || p->state!=WATCH_HOT || now - p->since>WATCH_MS ){
      p->untold |= p->state==WATCH_COLD && p->wd>=0 && p->seen[0]!=WATCH_NEVER;
      memcpy(p->seen, head, sizeof(head));
      p->ahead = 0;
      watchFound(w, p, now, writing);
      return 1;
    }
    writing = 1;
  }
  switch( p->state ){
    case WATCH_IS_BUSY:
      if( now - p->last<WATCH_WINDOW ){
        p->due = watchNext(now, WATCH_POLL);
        return watchAhead(p, (const WalIndexHdr*)head);
      }
      watchArm(w, p);
      p->state = WATCH_HOT; /* for what came before there was a watch */
      p->began = p->since = p->due = now;
      break;
    case WATCH_HOT:
      if( !writing ) watchCold(p, now);
      else{ /* its fsync may take long */
        sqlite3_int64 step = (now - p->since)/4;
        p->due = now + (step<WATCH_STEP ? WATCH_STEP : step>WATCH_UNTOLD ? WATCH_UNTOLD : step);
      }
      break;
    default:
      if( p->wd<0 && now - p->last>WATCH_RETRY ){
        p->last = now;
        watchArm(w, p);
      }
      watchCold(p, now);
  }
  return 0;
}

/* 0 without memory. Descriptors that the system refuses are not missed: headers are read instead. */
LIVE_API LiveWatcher *live_watch_open(void){
  LiveWatcher *w = calloc(1, sizeof(*w));
  if( w==0 ) return 0;
  pthread_mutex_init(&w->mutex, 0);
  w->inotify = -1;
  w->wake = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);
  return w;
}

static void watchWake(LiveWatcher *w){
  sqlite3_int64 one = 1;
  if( w->wake>=0 && write(w->wake, &one, sizeof(one))<0 ){ /* it is awake already */ }
}

/*
** Watches the log `log` at path `wal` of the database `f`; both must stay open until
** live_watch_remove(). Returns its number, which the next waits report once at least; -1 without memory
** or without a log.
*/
LIVE_API int live_watch_add(
  LiveWatcher *w, const char *wal, sqlite3_file *f, sqlite3_file *log
){
  unixFile *u = (unixFile*)f;
  LiveWatch *p = 0;
  int i;
  if( u->pShm==0 || u->pShm->pShmNode->nRegion<1 ) return -1;
  pthread_mutex_lock(&w->mutex);
  for(i=0; i<w->n && w->a[i].state!=WATCH_FREE; i++){}
  if( i==w->n ){
    LiveWatch *a = realloc(w->a, (w->n+1)*sizeof(*a));
    if( a ){
      w->a = a;
      w->n++;
      a[i].state = WATCH_FREE;
    }
  }
  if( i<w->n ){
    p = &w->a[i];
    memset(p, 0, sizeof(*p));
    memset(p->seen, 0xff, sizeof(p->seen)); /* WATCH_NEVER, like no header: reported at first */
    p->wd = -1;
    p->wal = strdup(wal);
    p->shm = u->pShm->pShmNode->hShm;
    p->log = log ? ((unixFile*)log)->h : -1;
    p->head = (volatile const u32*)u->pShm->pShmNode->apRegion[0];
    if( p->wal ){
      p->last = watchNow();
      watchArm(w, p);
      p->state = WATCH_COLD; /* due at once */
    }
  }
  pthread_mutex_unlock(&w->mutex);
  watchWake(w);
  return p && p->wal ? i : -1;
}

/* When it returns, nothing of that database is read any more. */
LIVE_API void live_watch_remove(LiveWatcher *w, int id){
  pthread_mutex_lock(&w->mutex);
  watchDisarm(w, &w->a[id]);
  free(w->a[id].wal);
  w->a[id].wal = 0;
  w->a[id].state = WATCH_FREE;
  pthread_mutex_unlock(&w->mutex);
}

/* The errno of a watch that the system refused since this was asked last, 0 if none. */
LIVE_API int live_watch_failed(LiveWatcher *w){
  int rc;
  pthread_mutex_lock(&w->mutex);
  rc = w->failed;
  w->failed = 0;
  pthread_mutex_unlock(&w->mutex);
  return rc;
}

/* Ends the wait that runs, and all later ones at once. */
LIVE_API void live_watch_stop(LiveWatcher *w){
  pthread_mutex_lock(&w->mutex);
  w->stopped = 1;
  pthread_mutex_unlock(&w->mutex);
  watchWake(w);
}

/* After the last wait has returned. */
LIVE_API void live_watch_free(LiveWatcher *w){
  if( w->inotify>=0 ) close(w->inotify);
  if( w->wake>=0 ) close(w->wake);
  pthread_mutex_destroy(&w->mutex);
  free(w->a);
  free(w);
}

/* Sleeps until `until`, an event that may be news, or live_watch_add() and live_watch_stop(). */
static void watchSleep(LiveWatcher *w, sqlite3_int64 until, sqlite3_int64 now){
  struct pollfd fds[2] = {{ w->wake, POLLIN, 0 }, { w->inotify, POLLIN, 0 }};
  struct timespec t;
  int n = 2;
  sqlite3_int64 ignored;
  if( w->deafUntil>now ){
    n = 1;
    if( until>w->deafUntil ) until = w->deafUntil;
  }
  t.tv_sec = (until - now)/(1000*WATCH_MS);
  t.tv_nsec = (until - now)%(1000*WATCH_MS);
  if( ppoll(fds, n, &t, 0)>0 && fds[0].revents
   && read(w->wake, &ignored, sizeof(ignored))<0 ){ /* read already */ }
}

/*
** Waits until databases may have something new; writes the numbers of at most `most` of them into
** `out` and returns how many. -1 once live_watch_stop() was called. One thread at a time.
*/
LIVE_API int live_watch_wait(LiveWatcher *w, int *out, int most){
  prctl(PR_SET_TIMERSLACK, 1000UL); /* else a sleep of 20 us takes 70 */
  for(;;){
    sqlite3_int64 now, next;
    int i, n = 0;
    pthread_mutex_lock(&w->mutex);
    now = watchNow();
    watchEvents(w, now);
    next = now + WATCH_RETRY;
    for(i=0; i<w->n; i++){
      LiveWatch *p = &w->a[i];
      if( p->state==WATCH_FREE ) continue;
      if( p->due<=now && n<most && watchCheck(w, p, now) ) out[n++] = i;
      if( p->due<next ) next = p->due;
    }
    if( w->stopped ) n = -1;
    pthread_mutex_unlock(&w->mutex);
    if( n ) return n;
    if( next>now ) watchSleep(w, next, now);
  }
}
