# Raises the soft limit of open file descriptors of the server, which is the parent of this shell, to
# its hard limit. Prints `soft NUMBER` and `hard NUMBER` as they were (`unlimited` is possible), and
# `failed REASON` where it cannot be done: a shell can only change its own limits, so this takes
# prlimit(1) of util-linux.
soft=$(ulimit -Sn)
hard=$(ulimit -Hn)
printf 'soft %s\nhard %s\n' "$soft" "$hard"
[ "$soft" != "$hard" ] || exit 0
reason=$(prlimit --pid "$PPID" --nofile="$hard:" 2>&1) || printf 'failed %s\n' "$reason"
