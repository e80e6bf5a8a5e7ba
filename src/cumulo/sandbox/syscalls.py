"""Which system calls a function may make, by what language runtimes do, and which it may not, by what they can do.

A name that an architecture lacks is passed over.  clone, socket, socketpair, personality and ioctl are allowed
by their arguments, in filters.py.
"""

_FILES = """
access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2
fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr
flock fremovexattr fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 getxattr
lchown lgetxattr link linkat listxattr llistxattr lremovexattr lseek lsetxattr lstat mkdir mkdirat mknod
mknodat newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead
readlink readlinkat readv removexattr rename renameat renameat2 rmdir sendfile setxattr splice stat
statfs statx symlink symlinkat sync sync_file_range syncfs tee truncate umask unlink unlinkat utime
utimensat utimes vmsplice write writev inotify_add_watch inotify_init inotify_init1 inotify_rm_watch
memfd_create pipe pipe2
"""

_MEMORY = """
brk cachestat get_mempolicy madvise map_shadow_stack mbind membarrier mincore mlock mlock2 mlockall mmap
mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect set_mempolicy
set_mempolicy_home_node remap_file_pages
"""

_PROCESSES = """
arch_prctl capget capset execve execveat exit exit_group fork futex futex_requeue futex_wait futex_waitv
futex_wake get_robust_list get_thread_area getcpu getegid geteuid getgid getgroups getpgid getpgrp getpid
getppid getpriority getresgid getresuid getrlimit getrusage getsid gettid getuid ioprio_get ioprio_set
kill pidfd_open pidfd_send_signal prctl prlimit64 restart_syscall rseq sched_get_priority_max
sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield
set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid setgroups setpgid setpriority
setregid setresgid setresuid setreuid setrlimit setsid setuid sysinfo tgkill times tkill uname vfork
wait4 waitid riscv_flush_icache
"""

_SIGNALS_AND_TIME = """
alarm clock_getres clock_gettime clock_nanosleep eventfd eventfd2 getitimer gettimeofday nanosleep pause
rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
rt_tgsigqueueinfo setitimer sigaltstack signalfd signalfd4 time timer_create timer_delete
timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime timerfd_settime getrandom
"""

_TALKING = """
accept accept4 bind connect epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait
getpeername getsockname getsockopt listen poll ppoll pselect6 recvfrom recvmmsg recvmsg select sendmmsg
sendmsg sendto setsockopt shutdown mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink
msgctl msgget msgrcv msgsnd semctl semget semop semtimedop shmat shmctl shmdt shmget io_cancel io_destroy
io_getevents io_pgetevents io_setup io_submit landlock_add_rule landlock_create_ruleset
landlock_restrict_self
"""

ALLOWED = tuple(f"{_FILES} {_MEMORY} {_PROCESSES} {_SIGNALS_AND_TIME} {_TALKING}".split())

# clone3 is in neither list: its flags are in memory, where a filter cannot look, and ENOSYS makes libraries use
# clone instead.
_REFUSED = """
acct add_key adjtimex bpf chroot clock_adjtime clock_settime create_module delete_module fanotify_init
fanotify_mark finit_module fsconfig fsmount fsopen fspick get_kernel_syms init_module ioperm iopl
io_uring_enter io_uring_register io_uring_setup kcmp kexec_file_load kexec_load keyctl listmount
lookup_dcookie lsm_set_self_attr memfd_secret migrate_pages mount mount_setattr move_mount move_pages
name_to_handle_at nfsservctl open_by_handle_at open_tree open_tree_attr perf_event_open pidfd_getfd
pivot_root process_madvise process_mrelease process_vm_readv process_vm_writev ptrace query_module
quotactl quotactl_fd reboot request_key seccomp setdomainname sethostname setns settimeofday statmount
stime swapoff swapon sysfs syslog umount umount2 unshare uselib userfaultfd ustat vhangup vm86 vm86old
modify_ldt _sysctl
"""

REFUSED = tuple(_REFUSED.split())
