import { strict as assert } from "node:assert";
import { grown, perOperation } from "../support/call_growth.ts";
import { countTraced, OTHERS, PROGRAMS } from "../support/system_calls.ts";

/** Of a server 10 with a thread 11, which makes another, 12, and a process, 20. */
const TRACE = `
10    epoll_wait(3<anon_inode:[eventpoll]>,  <unfinished ...>
11    read(7<socket:[1]>,  <unfinished ...>
10    <... epoll_wait resumed>[{events=EPOLLIN}], 1024, 5) = 1
12    openat(AT_FDCWD</>, ""..., O_RDONLY) = 8</etc/hosts>
11    <... read resumed>""..., 10) = 10
11    clone3({flags=CLONE_VM|CLONE_THREAD|CLONE_SYSVSEM}, 88) = 12
12    write(4<anon_inode:[eventfd]>, ""..., 8) = 8
12    read(4<anon_inode:[eventfd:3]>,  <unfinished ...>
12    <... read resumed>""..., 8) = 8
10    recvfrom(7<socket:[1]>, 0x1, 2, 0, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable)
10    futex(0x1, FUTEX_WAKE_PRIVATE, 1) = 1
10    clone(child_stack=0x1, flags=CLONE_VM|CLONE_VFORK|SIGCHLD) = 20
20    execve(""..., [""...], 0x1 /* 1 var */) = -1 ENOENT (No such file or directory)
20    execve(""..., [""...], 0x1 /* 1 var */) = 0
20    read(0<pipe:[2]>, ""..., 8192) = 5
20    +++ exited with 0 +++
10    --- SIGCHLD {si_signo=SIGCHLD} ---
10    read(5<pipe:[2]>, ""..., 1) = 0
`;

Deno.test("countTraced: the server's own calls by name, and its processes' together", () => {
  assert.deepEqual(
    countTraced(TRACE, [10, 11]),
    new Map([["openat", 1], ["read", 2], [PROGRAMS, 1], [OTHERS, 3]]),
  );
  assert.deepEqual(countTraced("", [10]), new Map());
});

Deno.test("grown: a tenth more is told with what it was; what is rare and what has shrunk is not", () => {
  const calls = new Map([["read", 440], ["write", 100], ["rename", 1], ["statx", 30]]);
  const idle = { calls: new Map([["read", 20], ["statx", 20], ["close", 1]]), seconds: 2 };
  const counts = perOperation({ calls, seconds: 4 }, 100, idle);
  assert.deepEqual(counts, { read: 4, write: 1 });
  assert.deepEqual(grown(counts, { read: 4, write: 5 }), []);
  assert.deepEqual(grown(counts, { read: 3.5, write: 1 }), []);
  assert.deepEqual(grown(counts, { read: 3.4, write: 1 }), ["read: 4 instead of 3.4"]);
  assert.deepEqual(grown(counts, { read: 4 }), ["write: 1 instead of 0"]);
});
