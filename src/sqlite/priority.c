/*
** Gives way: all threads of the process at a lower priority, for as long as it gets the processor that
** it needs in spite of that. Included by live.c, behind sqlite3.c.
**
** Who asks decides when it begins (node/give_way.ts). When it has to end is decided here, by a thread
** that keeps the full priority: the event loop of a process that gets no processor is the last to hear
** of it. That thread sleeps for good while nothing is given.
**
** Three ways, each may be missing. The nice value of each thread, if the system lets us raise it again
** (CAP_SYS_NICE, RLIMIT_NICE). The one of the session's autogroup, within which alone the first counts
** where the kernel groups by session: ours to change only if we lead the session, as a service does;
** raising it again needs no privilege. And the slice of each thread, from Linux 6.12 on, for which
** nobody needs one: who wakes up with a shorter slice has the processor at once, at the same share.
*/
#include <dirent.h>
#include <sys/syscall.h>

#define WAY_LOOK_US 50000
#define WAY_LOOKS 6          /* what is judged: so many looks back */
/* Any one thread, in that time: it waited for half of it, and got less than a seventh of what it wanted.
** A thread that works without a pause always waits beside others, in turns of a few milliseconds. */
#define WAY_WAITED 0.5
#define WAY_PART 6           /* so many times longer than it ran */
#define WAY_THREADS 128      /* those beyond are not counted */

#define WAY_OF_THREADS 1
#define WAY_OF_SESSION 2
#define WAY_OF_SLICES 4

#define WAY_SLICE_NS 8000000 /* while giving; the system's own is between 0.7 and 4 ms */

/* struct sched_attr, which not every system's headers have. */
typedef struct WayAttr {
  unsigned int size, policy;
  unsigned long long flags;
  int nice;
  unsigned int priority;
  unsigned long long runtime, deadline, period;
} WayAttr;

typedef struct WayThread {
  int tid;
  int seen;                  /* in this look */
  long long ran, waited;     /* ns, as the system counts them */
  long long owed;            /* ns that were counted before the system did: it counts a wait at its end */
  long long runs[WAY_LOOKS], waits[WAY_LOOKS]; /* ns, in the last looks */
} WayThread;

static struct {
  pthread_mutex_t mutex;
  pthread_cond_t begin;
  int ways;                  /* WAY_OF_*; 0 before live_way_open() */
  int nice;                  /* while giving */
  unsigned long long slice;  /* ns, while not */
  int lifted;                /* so many want the full priority for a moment */
  volatile int giving;       /* what is wanted */
  volatile int unset;        /* the session's could not be changed yet */
  int guard;                 /* its thread id */
  int n;
  WayThread a[WAY_THREADS];
} way = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER };

static int wayText(const char *path, char *text, int size){
  int n, fd = open(path, O_RDONLY|O_CLOEXEC);
  if( fd<0 ) return 0;
  n = read(fd, text, size-1);
  close(fd);
  text[n>0 ? n : 0] = 0;
  return n>0;
}

/* 0 for a system without slices. */
static int wayAttr(int tid, WayAttr *attr){
  return syscall(SYS_sched_getattr, tid, attr, sizeof(*attr), 0)==0 && attr->runtime!=0;
}

/* 1 if it was changed. */
static int waySlice(int tid, unsigned long long ns){
  WayAttr attr;
  if( !wayAttr(tid, &attr) || attr.runtime==ns ) return 0;
  attr.size = sizeof(attr);
  attr.runtime = ns;
  return syscall(SYS_sched_setattr, tid, &attr, 0)==0;
}

static int wayNice(int tid, int nice){
  return getpriority(PRIO_PROCESS, tid)!=nice && setpriority(PRIO_PROCESS, tid, nice)==0;
}

/* All threads but the guard; again until none is left that was made meanwhile. */
static void wayThreads(int giving){
  int pass, changed = 1;
  for(pass=0; changed && pass<4; pass++){
    struct dirent *e;
    DIR *d = opendir("/proc/self/task");
    if( d==0 ) return;
    changed = 0;
    while( (e = readdir(d))!=0 ){
      int tid = atoi(e->d_name);
      if( tid<=0 || tid==way.guard ) continue;
      if( way.ways & WAY_OF_THREADS ) changed |= wayNice(tid, giving ? way.nice : 0);
      if( way.ways & WAY_OF_SLICES ) changed |= waySlice(tid, giving ? WAY_SLICE_NS : way.slice);
    }
    closedir(d);
  }
}

/* 0 if it must be tried again: who has no privileges may do it each tenth of a second. */
static int waySession(int nice){
  char text[8];
  int n, rc, fd = open("/proc/self/autogroup", O_WRONLY|O_CLOEXEC);
  if( fd<0 ) return 1;
  n = snprintf(text, sizeof(text), "%d", nice);
  rc = write(fd, text, n)==n || errno!=EAGAIN;
  close(fd);
  return rc;
}

/* Makes the priority what it has to be. With the mutex held. */
static void waySet(void){
  int giving = way.giving && way.lifted==0;
  if( way.ways & (WAY_OF_THREADS|WAY_OF_SLICES) ) wayThreads(giving);
  if( way.ways & WAY_OF_SESSION ) way.unset = !waySession(giving ? way.nice : 0);
}

static void waySetLocked(void){
  pthread_mutex_lock(&way.mutex);
  waySet();
  pthread_mutex_unlock(&way.mutex);
}

static int wayReady(int tid){
  char path[64], text[256], *p;
  snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
  if( !wayText(path, text, sizeof(text)) || (p = strrchr(text, ')'))==0 ) return 0;
  return p[1]==' ' && p[2]=='R';
}

/* The thread's entry; a new one without any past. 0 if there are too many. */
static WayThread *wayFind(int tid, long long ran, long long waited){
  int i;
  for(i=0; i<way.n; i++) if( way.a[i].tid==tid ) return &way.a[i];
  if( i==WAY_THREADS ) return 0;
  way.n++;
  way.a[i] = (WayThread){ tid, 1, ran, waited, 0, {0}, {0} };
  return &way.a[i];
}

/* Notes what it has run and waited since the look before. */
static void wayNote(WayThread *t, int nth, long long ran, long long waited, long long elapsed){
  long long *run = &t->runs[nth%WAY_LOOKS], *wait = &t->waits[nth%WAY_LOOKS];
  *run = ran - t->ran;
  *wait = waited - t->waited;
  if( *run==0 && *wait==0 ){
    if( !wayReady(t->tid) ) return;
    t->owed += elapsed;
    *wait = elapsed;
    return;
  }
  *wait = *wait>t->owed ? *wait - t->owed : 0;
  t->owed = 0;
  t->ran = ran;
  t->waited = waited;
}

static int wayHasStarved(const WayThread *t, long long span){
  long long run = 0, wait = 0;
  int i;
  for(i=0; i<WAY_LOOKS; i++){ run += t->runs[i]; wait += t->waits[i]; }
  return wait>=WAY_WAITED*span && wait>=WAY_PART*run;
}

/* The nth look, at all threads but the guard. Whether one has starved in the last looks, `span` ns. */
static int wayLook(int nth, long long elapsed, long long span){
  struct dirent *e;
  int i, n, starved = 0;
  DIR *d = opendir("/proc/self/task");
  if( d==0 ) return 0;
  for(i=0; i<way.n; i++) way.a[i].seen = 0;
  while( (e = readdir(d))!=0 ){
    char path[64], text[96];
    long long ran, waited;
    WayThread *t;
    int tid = atoi(e->d_name);
    if( tid<=0 || tid==way.guard ) continue;
    snprintf(path, sizeof(path), "/proc/self/task/%d/schedstat", tid);
    if( !wayText(path, text, sizeof(text)) || sscanf(text, "%lld %lld", &ran, &waited)!=2 ) continue;
    if( (t = wayFind(tid, ran, waited))==0 ) continue;
    t->seen = 1;
    wayNote(t, nth, ran, waited, elapsed);
    starved |= wayHasStarved(t, span);
  }
  closedir(d);
  for(i=n=0; i<way.n; i++) if( way.a[i].seen ) way.a[n++] = way.a[i];
  way.n = n;
  return starved;
}

/* Until nobody wants to give any more, or we have starved: a look each 50 ms. */
static void wayGive(void){
  long long spans[WAY_LOOKS] = {0}, before = watchNow();
  int i, nth;
  waySetLocked();
  way.n = 0;
  for(nth=0; way.giving; nth++){
    long long now, span = 0;
    int starved;
    usleep(WAY_LOOK_US);
    if( way.unset ) waySetLocked();
    now = watchNow();
    spans[nth%WAY_LOOKS] = now - before;
    for(i=0; i<WAY_LOOKS; i++) span += spans[i];
    starved = wayLook(nth, now - before, span);
    before = now;
    if( starved && nth>=WAY_LOOKS ) way.giving = 0;
  }
}

static void *wayGuard(void *unused){
  prctl(PR_SET_NAME, "priority");
  way.guard = syscall(SYS_gettid);
  for(;;){
    pthread_mutex_lock(&way.mutex);
    while( !way.giving ) pthread_cond_wait(&way.begin, &way.mutex);
    pthread_mutex_unlock(&way.mutex);
    wayGive();
    /* Twice: a thread may have been made by one that was still low. */
    do{
      waySetLocked();
      usleep(WAY_LOOK_US);
    }while( way.unset );
    waySetLocked();
  }
  return unused;
}

/*
** The first thread's, which is the event loop's: ms that it ran, and was ready without a processor. Asked
** each second, so from a descriptor that stays open. 0 where the system does not count.
*/
LIVE_API int live_processor_time(double out[2]){
  static int fd = -1;
  char text[96];
  long long ran, waited;
  int n;
  if( fd<0 ) fd = open("/proc/self/schedstat", O_RDONLY|O_CLOEXEC);
  n = fd<0 ? 0 : pread(fd, text, sizeof(text)-1, 0);
  text[n>0 ? n : 0] = 0;
  if( sscanf(text, "%lld %lld", &ran, &waited)!=2 ) return 0;
  out[0] = ran/1e6;
  out[1] = waited/1e6;
  return 1;
}

/* Whether the system would let a thread at nice 0 come back to it. Changes nothing that lasts. */
static int wayMayRaise(void){
  struct rlimit limit;
  int tid = syscall(SYS_gettid);
  if( getrlimit(RLIMIT_NICE, &limit)==0 && limit.rlim_cur>=20 ) return 1;
  if( setpriority(PRIO_PROCESS, tid, -1) ) return 0;
  setpriority(PRIO_PROCESS, tid, 0);
  return 1;
}

/* Whether there are slices, and we may set ours; a sandbox may refuse. Changes nothing that lasts. */
static int wayMaySlice(void){
  WayAttr attr;
  if( !wayAttr(0, &attr) || attr.runtime>=WAY_SLICE_NS || !waySlice(0, WAY_SLICE_NS) ) return 0;
  way.slice = attr.runtime;
  waySlice(0, way.slice);
  return 1;
}

/*
** Prepares live_way(). Returns 0 if there is no way, or if who started us gave us a priority: that one
** stays. `nice`: the value while giving.
*/
LIVE_API int live_way_open(int nice){
  pthread_t thread;
  char text[64];
  int ways = 0;
  errno = 0;
  if( way.ways ) return way.ways;
  if( getpriority(PRIO_PROCESS, 0)!=0 || errno || sched_getscheduler(0)!=SCHED_OTHER ) return 0;
  if( wayMayRaise() ) ways |= WAY_OF_THREADS;
  if( wayMaySlice() ) ways |= WAY_OF_SLICES;
  if( getsid(0)==getpid() && wayText("/proc/sys/kernel/sched_autogroup_enabled", text, sizeof(text))
   && text[0]=='1' && wayText("/proc/self/autogroup", text, sizeof(text)) && strstr(text, " nice 0") ){
    ways |= WAY_OF_SESSION;
  }
  way.nice = nice;
  if( ways==0 || pthread_create(&thread, 0, wayGuard, 0) ) return 0;
  pthread_detach(thread);
  return way.ways = ways;
}

/* Gives way, or does so no more: within 50 ms. */
LIVE_API void live_way(int giving){
  pthread_mutex_lock(&way.mutex);
  way.giving = giving;
  if( giving ) pthread_cond_signal(&way.begin);
  pthread_mutex_unlock(&way.mutex);
}

/* Whether it is given: not any more once the process has starved. */
LIVE_API int live_way_given(void){ return way.giving; }

/*
** Full priority for all threads at once, until it is called with 0 as often as with 1: for what others
** wait for, such as a lock.
*/
LIVE_API void live_way_lift(int lift){
  pthread_mutex_lock(&way.mutex);
  way.lifted += lift ? 1 : -1;
  if( way.giving && way.lifted==(lift!=0) ) waySet();
  pthread_mutex_unlock(&way.mutex);
}
